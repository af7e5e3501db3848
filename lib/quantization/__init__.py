"""Fewer bits a weight: shared values, or integers."""
