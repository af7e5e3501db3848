"""Optimizers that know nothing of filters."""
