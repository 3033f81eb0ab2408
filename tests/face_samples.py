"""Pictures of real faces: those that @vladmandic/face-api 1.7.15 ships, fetched once and checked, not kept in here."""

from __future__ import annotations

import tempfile
from pathlib import Path

from services.ai.models import sources
from services.ai.models.manifest import Manifest, Member, Source
from tests.ai_stand import MODELS

SUMS = {
    "sample1.jpg": "8ecae4b267b2d3169e06e00c7dee97097aa2a94635d45216f7732a5f4943cb51",
    "sample2.jpg": "7d2b60ae6f13bf30f422e04df87451081a02c83de469056f25afb44b7000c691",
    "sample3.jpg": "8eb081c9efb14370fa94d9feab9e5fbeafd19a627491853a80c2bf67f7ffa936",
    "sample4.jpg": "729efa5923061d40eb4ed5f267a18cc7b8ba6f852bb2757b16d8b7e4937476fc",
    "sample5.jpg": "6d45095ebb182d8f975c0790e0e4eefd86fbb40609cf4b271776d92e12662938",
    "sample6.jpg": "9baad80f9d5e306fb9b8c0913d44445f1e95848df317530efb03d0934c57ba87",
}
PACKAGE = Source(
    kind="npm",
    place="@vladmandic/face-api",
    version="1.7.15",
    sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    set="",
    file="",
    members=tuple(Member(f"package/demo/{name}", name, sum_) for name, sum_ in SUMS.items()),
)
PICTURES = Manifest("faces", "1.7.15", "expression", "MIT", ("any",), (PACKAGE,))


def sample(name: str) -> Path:
    """Get a picture's path, fetching all of them if need be."""
    folder = MODELS.parent / "faces"
    path = folder / name
    if not path.is_file() or sources.sha256(path) != SUMS[name]:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            into = Path(scratch) / "pictures"
            into.mkdir()
            sources.fetch(PICTURES, into, lambda *_: None)
            for each in into.iterdir():
                each.replace(folder / each.name)
    return path


__all__ = ["sample"]
