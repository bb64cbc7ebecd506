"""Secrets that stand where somebody may read them."""
