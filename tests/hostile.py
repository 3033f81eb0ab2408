"""Hostile bytes: the kept corpus of what browsers send (tests/corpus/media), and what hypothesis makes of it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus" / "media"
MAX_DATAGRAM = 2_048


def datagrams(kind: str) -> list[bytes]:
    """Read the corpus of a kind: stun, dtls, rtp or rtcp."""
    files = sorted(CORPUS.glob(f"*.{kind}"))
    return [bytes.fromhex(line) for path in files for line in path.read_text().splitlines()]


def descriptions() -> list[str]:
    """Read the corpus of session descriptions."""
    return [path.read_bytes().decode() for path in sorted(CORPUS.glob("*.sdp"))]


@st.composite
def mutated(draw: st.DrawFn, samples: list[bytes]) -> bytes:
    """Take a sample, and cut, splice, repeat and overwrite it a few times."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        how = draw(
            st.sampled_from(("cut", "repeat", "overwrite", "insert", "splice", "bit", "extreme"))
        )
        piece = bytes(data[start:end])
        if how == "cut":
            del data[start:end]
        elif how == "repeat":
            data[end:end] = piece * draw(st.integers(1, 8))
        elif how == "overwrite":
            data[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
        elif how == "insert":
            data[start:start] = draw(st.binary(max_size=32))
        elif how == "splice":
            data[start:end] = draw(st.sampled_from(samples))[start:end]
        elif start < len(data):  # a bit, or a byte of a length or count field at its extremes
            data[start] = data[start] ^ (1 << draw(st.integers(0, 7))) if how == "bit" else 0xFF
        del data[MAX_DATAGRAM:]
    return bytes(data)


@st.composite
def mutated_text(draw: st.DrawFn, samples: list[str]) -> str:
    """Take a description, and drop, repeat, swap, splice and garble its lines a few times."""
    lines = draw(st.sampled_from(samples)).split("\r\n")
    others = draw(st.sampled_from(samples)).split("\r\n")
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        how = draw(st.sampled_from(("drop", "repeat", "move", "splice", "garble", "value")))
        line = lines[at] if lines else ""
        if how == "drop":
            del lines[at : at + draw(st.integers(1, 5))]
        elif how == "repeat":
            lines[at:at] = [line] * draw(st.integers(1, 40))
        elif how == "move":
            lines[at : at + 1] = []
            lines.insert(draw(st.integers(0, len(lines))), line)
        elif how == "splice":
            lines.insert(at, draw(st.sampled_from(others)))
        elif how == "value":
            extremes = (
                "",
                "0",
                "-1",
                "65536",
                "4294967296",
                "9" * 30,
                "²",
                "\x00",
                " ",
                ";;=;",
                "~;",
                ",",
            )
            head, colon, _ = line.partition(":")
            lines[at : at + 1] = [head + colon + draw(st.sampled_from(extremes))]
        else:
            cut = draw(st.integers(0, len(line)))
            lines[at : at + 1] = [
                line[:cut] + draw(st.text(max_size=12)) + line[cut + draw(st.integers(0, 4)) :]
            ]
    return "\r\n".join(lines)


__all__ = ["MAX_DATAGRAM", "datagrams", "descriptions", "mutated", "mutated_text"]
