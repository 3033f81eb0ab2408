"""Captions, what is kept of them, and what it came to."""
