"""Inputs that are wrong by construction, endlessly many: what the product must refuse in one message."""
