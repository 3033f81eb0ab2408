"""The languages that people are written to in."""

from __future__ import annotations

import re

CHINESE = "zh"
ENGLISH = "en"
LANGUAGES = (ENGLISH, CHINESE)

_PREFERENCE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*"
)


def preferred_language(header: str) -> str:
    """Choose of the languages that we write the one that Accept-Language (RFC 9110 §12.5.4) likes best."""
    best, weight = ENGLISH, 0.0
    for part in header[:1024].split(","):
        if (found := _PREFERENCE.fullmatch(part)) is None:
            continue
        language, liked = found[1].lower(), float(found[2] or 1)
        if language in LANGUAGES and liked > weight:
            best, weight = language, liked
    return best


__all__ = ["CHINESE", "ENGLISH", "LANGUAGES", "preferred_language"]
