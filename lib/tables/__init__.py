"""Results read back, summed up, and written as tables."""
