"""Speed against a plain loop in the same run; each script prints its ratios: `python -m bench.<name>`."""
