"""What goes wrong with models."""

from __future__ import annotations


class ModelError(Exception):
    """A model can't be had; the text is one line that names it and says what to do."""


__all__ = ["ModelError"]
