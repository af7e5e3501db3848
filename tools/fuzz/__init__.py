"""Damaged files of every kind, made from a seed."""
