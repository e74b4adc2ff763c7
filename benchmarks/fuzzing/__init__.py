"""Broken files by the hundred thousand, and what the readers make of them."""
