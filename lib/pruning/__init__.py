"""Choosing filters: scores, masks, and one method a file in `methods`."""
