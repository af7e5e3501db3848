"""What stays: masks of filters and of single weights. The waist that everything else passes through."""
