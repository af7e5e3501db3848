"""Distillation losses: taps, the weighted sum, and one term a file in `terms`."""
