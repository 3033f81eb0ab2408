"""How languages are written: Whisper mixes the two scripts of Chinese, people do not; some know no spaces."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from opencc import OpenCC

TRADITIONAL = frozenset({"zh-tw", "zh-hk", "zh-mo", "zh-hant", "yue"})

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km"})


def joined(texts: Iterable[str], language: str) -> str:
    """Put segments together to one text."""
    return ("" if language.partition("-")[0] in UNSPACED else " ").join(texts)


def written(text: str, language: str) -> str:
    """Write Chinese in one script, by its BCP 47 code: simplified unless that is of where the other is used."""
    code = language.lower()
    if not code.startswith(("zh", "yue")):
        return text
    converted: str = _converter(is_traditional=code in TRADITIONAL).convert(text)
    return converted


@cache
def _converter(*, is_traditional: bool) -> OpenCC:
    return OpenCC("s2t" if is_traditional else "t2s")


__all__ = ["joined", "written"]
