"""Merging shared notes: what is whole is merged whatever the order, what has gaps or is no update is refused."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text, TransactionEvent

from services.meeting.room.notes import MAX_BYTES, NOTHING, Merged, NotesFull, check_size
from services.meeting.room.notes_frames import ANSWER, BEHIND, INVALID, MERGED, REQUEST
from services.meeting.room.notes_merger import main, merge


class Editor:
    """Somebody who writes notes; `said` are the updates that this made."""

    def __init__(self) -> None:
        self.doc: Doc[Text] = Doc()
        self.text = self.doc.get("notes", type=Text)
        self.said: list[bytes] = []
        self.hears = True
        self._kept = self.doc.observe(self._note)

    def _note(self, event: TransactionEvent) -> None:
        if self.hears:
            self.said.append(event.update)

    def hear(self, update: bytes) -> None:
        self.hears = False
        self.doc.apply_update(update)
        self.hears = True

    def write(self, at: int, text: str) -> bytes:
        self.text.insert(at % (len(str(self.text)) + 1), text)
        return self.said[-1]

    def cut(self, at: int, size: int) -> bytes | None:
        if not (length := len(str(self.text))):
            return None
        begin = at % length
        del self.text[begin : min(length, begin + size)]
        return self.said[-1]


edits = st.tuples(st.integers(0, 2), st.integers(0, 50), st.text("abc", max_size=4), st.booleans())


@settings(max_examples=60)
@given(st.lists(edits, max_size=25))
def test_what_is_written_at_once_is_merged_alike_everywhere(
    happenings: list[tuple[int, int, str, bool]],
) -> None:
    editors, document, written = [Editor() for _ in range(3)], NOTHING, ""
    said: list[bytes] = []
    for who, at, text, repeats in happenings:
        editor = editors[who]
        update = editor.write(at, text) if text else editor.cut(at, 3)
        if update is None:
            continue
        said.append(update)
        for each in (update, said[at % len(said)]) if repeats else (update,):
            verdict, document, written_bytes = merge(document, each)
            assert verdict == MERGED
            written = written_bytes.decode()
        if repeats:  # the others hear of it late
            for other in editors:
                for one in said:
                    other.hear(one)
    for editor in editors:
        for one in said:
            editor.hear(one)
        assert str(editor.text) == written


def test_what_builds_on_what_is_not_there_is_refused_and_the_whole_is_taken() -> None:
    editor = Editor()
    first, second = editor.write(0, "one "), editor.write(4, "two")
    assert merge(NOTHING, second) == (BEHIND, b"", b"")
    verdict, document, _ = merge(NOTHING, first)
    assert verdict == MERGED
    assert merge(document, second)[2] == b"one two"
    editor.cut(0, 4)
    verdict, document, text = merge(document, editor.doc.get_update())
    assert (verdict, text) == (MERGED, b"two")
    assert merge(document, second)[1:] == (document, b"two")


def test_what_is_no_update_is_refused() -> None:
    rng, update = random.Random(1), Editor().write(0, "hello")
    for wrong in (b"x", b"\xff" * 20, b"\xff\xff\xff\xff\x0f", update[:-3], rng.randbytes(500)):
        assert merge(NOTHING, wrong)[0] == INVALID


def test_it_answers_requests_until_there_are_no_more() -> None:
    update = Editor().write(0, "a\0b")
    one = REQUEST.pack(len(NOTHING), len(update)) + NOTHING + update
    requests, answers = io.BytesIO(one + one + b"\0"), io.BytesIO()
    main(requests, answers)
    said = answers.getvalue()
    assert len(said) % 2 == 0
    assert said[: len(said) // 2] == said[len(said) // 2 :]
    verdict, _, text = ANSWER.unpack_from(said)
    assert (verdict, text) == (MERGED, 2)


def test_notes_have_an_end() -> None:
    check_size(Merged(b"x" * MAX_BYTES, ""))
    with pytest.raises(NotesFull):
        check_size(Merged(b"x" * (MAX_BYTES + 1), ""))
