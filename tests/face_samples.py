"""Photographs of real faces, kept from one run to the next; what is there is checked each time."""

from __future__ import annotations

from pathlib import Path

from loadtest.photographs import photograph
from tests.ai_stand import MODELS


def sample(name: str) -> Path:
    """Get a photograph, `sample1.jpg` to `sample6.jpg`."""
    return photograph(name, MODELS.parent / "faces")


__all__ = ["sample"]
