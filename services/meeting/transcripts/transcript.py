"""What was said in a meeting, what of it is kept, and the forms of the file that it is given as. Pure.

A segment is *kept* where the host wants a transcript, or only *held* where there is to be a summary and no transcript:
then nobody reads it, and it goes when the summary is made. Either way only of those who agreed to their words being
kept.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.meeting.domain import Meeting, MeetingState, Participant, TranscriptOff

MAX_SEGMENTS = 100_000
"""How many segments are kept of one meeting at most: more than a week of talk."""
AFTERWARDS = timedelta(minutes=10)
"""How long after the end of a meeting there still may come what was said before."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Something that a participant of `meeting`, `meetings/{code}`, said. `held`: it is kept for a summary alone."""

    id: UUID
    meeting: str
    participant_id: UUID
    display_name: str
    text: str
    language_code: str
    start_time: datetime
    end_time: datetime
    confidence: float
    held: bool = False

    @property
    def name(self) -> str:
        """The resource name, `meetings/{code}/transcript/{id}`."""
        return f"{self.meeting}/transcript/{self.id}"

    @property
    def participant(self) -> str:
        """Who said it, `meetings/{code}/participants/{id}`."""
        return f"{self.meeting}/participants/{self.participant_id}"


def is_held(meeting: Meeting, now: datetime) -> bool:
    """Tell whether what is said is held alone, and not kept. Raises TranscriptOff where it is neither."""
    settings = meeting.settings
    over = meeting.state is MeetingState.ENDED
    late = over and (meeting.end_time is None or now > meeting.end_time + AFTERWARDS)
    if late or meeting.end_to_end_encrypted or not (settings.transcript or settings.summary):
        raise TranscriptOff(meeting=meeting.name)
    return not settings.transcript


def agreed(
    said: Iterable[Segment], participants: Mapping[UUID, Participant], *, held: bool
) -> list[Segment]:
    """Choose what those said who agreed to its being kept, with their names; nothing of strangers, and no empty text."""
    return [
        replace(each, display_name=speaker.display_name, text=text, held=held)
        for each in said
        if (speaker := participants.get(each.participant_id)) is not None
        and speaker.consent.transcript
        and (text := one_line(each.text))
    ]


def one_line(text: str) -> str:
    """Put a text into one line, without characters that control anything."""
    visible = (each if unicodedata.category(each) != "Cc" else " " for each in text)
    return " ".join("".join(visible).split())


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment as it stands in a file: its number, counted from 1, and from when to when since the meeting began."""

    number: int
    segment: Segment
    begin: timedelta
    end: timedelta

    @classmethod
    def of(cls, number: int, segment: Segment, origin: datetime) -> Entry:
        """Place a segment; it lasts for a moment at least."""
        begin = max(segment.start_time - origin, timedelta())
        end = max(segment.end_time - origin, begin + timedelta(milliseconds=1))
        return cls(number, segment, begin, end)

    @property
    def line(self) -> str:
        """Who says what."""
        return f"{one_line(self.segment.display_name)}: {one_line(self.segment.text)}"

    def span(self, point: str) -> str:
        """From when to when, as subtitles have it."""
        return f"{_clock(self.begin, point)} --> {_clock(self.end, point)}"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a transcript's file: `head`, entries with `between` between them, `tail`."""

    content_type: str
    extension: str
    entry: Callable[[Entry], str]
    head: str = ""
    between: str = ""
    tail: str = ""

    def file_name(self, meeting: Meeting) -> str:
        """Under which name it is saved."""
        return f"transcript-{meeting.code}.{self.extension}"


def began(meeting: Meeting, first: datetime) -> datetime:
    """Tell what the times of a transcript count from: when the meeting began, and never after the first words."""
    return first if meeting.start_time is None else min(meeting.start_time, first)


def _text(entry: Entry) -> str:
    return f"[{_clock(entry.begin, '.').partition('.')[0]}] {entry.line}\n"


def _webvtt(entry: Entry) -> str:
    """W3C WebVTT §4: a voice span in a cue. With `&`, `<` and `>` escaped no text is a tag or an arrow."""
    name, text = _escaped(entry.segment.display_name), _escaped(entry.segment.text)
    return f"{entry.span('.')}\n<v {name}>{text}</v>\n\n"


def _srt(entry: Entry) -> str:
    """SubRip has no escapes: what would be taken for a line of times is written otherwise."""
    return f"{entry.number}\n{entry.span(',')}\n{entry.line.replace('-->', '→')}\n\n"


def _json(entry: Entry) -> str:
    """As the API's JSON has a TranscriptSegment."""
    segment = entry.segment
    values = {
        "name": segment.name,
        "participant": segment.participant,
        "display_name": segment.display_name,
        "text": segment.text,
        "language_code": segment.language_code,
        "start_time": _timestamp(segment.start_time),
        "end_time": _timestamp(segment.end_time),
        "confidence": segment.confidence,
    }
    return json.dumps(values, ensure_ascii=False)


TEXT = Form("text/plain; charset=utf-8", "txt", _text)
WEBVTT = Form("text/vtt; charset=utf-8", "vtt", _webvtt, head="WEBVTT\n\n")
SRT = Form("application/x-subrip; charset=utf-8", "srt", _srt)
JSON = Form("application/json", "json", _json, head="[\n", between=",\n", tail="\n]\n")


def _timestamp(time: datetime) -> str:
    """RFC 3339, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _clock(since: timedelta, point: str) -> str:
    """Write `HH:MM:SS`, the point and milliseconds; there may be more than 99 hours."""
    seconds, rest = divmod(since // timedelta(milliseconds=1), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def _escaped(text: str) -> str:
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


__all__ = [
    "AFTERWARDS",
    "JSON",
    "MAX_SEGMENTS",
    "SRT",
    "TEXT",
    "WEBVTT",
    "Entry",
    "Form",
    "Segment",
    "agreed",
    "began",
    "is_held",
    "one_line",
]
