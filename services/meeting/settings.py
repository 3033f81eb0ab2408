"""What a meeting's server may hear, see and keep, and what each participant agrees to. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from chassis.errors import FailedPrecondition, InvalidArgument

HOST_LEAVES_HAND_OVER = "hand_over"
HOST_LEAVES_END = "end"
RETENTION_SECONDS = 30 * 86_400
"""How long chat and transcripts are kept by default."""
LANGUAGES = frozenset(
    [
        "af",
        "am",
        "ar",
        "as",
        "az",
        "ba",
        "be",
        "bg",
        "bn",
        "bo",
        "br",
        "bs",
        "ca",
        "cs",
        "cy",
        "da",
        "de",
        "el",
        "en",
        "es",
        "et",
        "eu",
        "fa",
        "fi",
        "fo",
        "fr",
        "gl",
        "gu",
        "ha",
        "haw",
        "he",
        "hi",
        "hr",
        "ht",
        "hu",
        "hy",
        "id",
        "is",
        "it",
        "ja",
        "jv",
        "jw",
        "ka",
        "kk",
        "km",
        "kn",
        "ko",
        "la",
        "lb",
        "ln",
        "lo",
        "lt",
        "lv",
        "mg",
        "mi",
        "mk",
        "ml",
        "mn",
        "mr",
        "ms",
        "mt",
        "my",
        "nb",
        "ne",
        "nl",
        "nn",
        "no",
        "oc",
        "pa",
        "pl",
        "ps",
        "pt",
        "ro",
        "ru",
        "sa",
        "sd",
        "si",
        "sk",
        "sl",
        "sn",
        "so",
        "sq",
        "sr",
        "su",
        "sv",
        "sw",
        "ta",
        "te",
        "tg",
        "th",
        "tk",
        "tl",
        "fil",
        "tr",
        "tt",
        "uk",
        "ur",
        "uz",
        "vi",
        "yi",
        "yo",
        "yue",
        "zh",
    ]
)
"""Those that Whisper knows (Radford et al. 2022, appendix E), by the first part of their BCP 47 code."""


class MeetingEncrypted(FailedPrecondition):
    """The meeting is encrypted end to end: the server can't hear or see it, so that this can't be had."""

    reason = "MEETING_ENCRYPTED"
    message = "The meeting is encrypted end to end."


class CaptionsOff(FailedPrecondition):
    """The transcript and the summary come from the captions, which are off. Turn them on first."""

    reason = "CAPTIONS_OFF"
    message = "The captions are off."


class EmotionsNotAllowed(FailedPrecondition):
    """The operator of this server does not allow that faces are read for emotions."""

    reason = "EMOTIONS_NOT_ALLOWED"
    message = "This server does not read faces for emotions: its operator has not allowed it."


class LanguageNotSupported(InvalidArgument):
    """Speech in this language is not recognised."""

    reason = "LANGUAGE_NOT_SUPPORTED"
    message = "Speech in this language is not recognised."


class ChatPolicy(StrEnum):
    """Who may chat."""

    EVERYONE = "everyone"
    PUBLIC = "public"
    HOSTS = "hosts"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is done with what is said and shown in a meeting, nothing at first; and who comes, writes and shows what."""

    guests_allowed: bool = False
    captions: bool = False
    transcript: bool = False
    transcript_retention_seconds: int = RETENTION_SECONDS
    summary: bool = False
    emotions: bool = False
    language_code: str = ""
    translation_language_codes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    chat_policy: ChatPolicy = ChatPolicy.EVERYONE
    chat_retention_seconds: int = RETENTION_SECONDS
    lobby: bool = False
    mute_on_entry: bool = False
    screen_sharing_allowed: bool = True
    host_leave_policy: str = HOST_LEAVES_HAND_OVER

    @property
    def listens(self) -> bool:
        """Tell whether the server hears or sees what people say and show."""
        return self.captions or self.transcript or self.summary or self.emotions

    def changed(self, values: Mapping[str, Any], *, emotions_allowed: bool) -> Settings:
        """Change some. Without captions there is no transcript and no summary, so that they end with them.

        Raises CaptionsOff, EmotionsNotAllowed, LanguageNotSupported.
        """
        after = replace(self, **values)
        if not after.captions:
            if values.get("transcript") or values.get("summary"):
                raise CaptionsOff
            after = replace(after, transcript=False, summary=False)
        if after.emotions and not emotions_allowed:
            raise EmotionsNotAllowed
        if after.language_code.partition("-")[0].lower() not in LANGUAGES | {""}:
            fields = {"settings.language_code": "is not recognised"}
            raise LanguageNotSupported(fields=fields, language=after.language_code)
        return after


@dataclass(frozen=True, slots=True)
class Consent:
    """What a participant agrees to."""

    captions_declined: bool = False
    transcript: bool = False
    emotions: bool = False
    recording: bool = False


SWITCHES = ("captions", "transcript", "summary", "emotions")
"""What lets the server hear, see or keep, each change of which is audited."""


def stored(values: Settings | Consent) -> dict[str, Any]:
    """Turn settings or consent into what is kept: only what differs from the default."""
    defaults = asdict(type(values)())
    return {name: value for name, value in asdict(values).items() if value != defaults[name]}


def settings_of(kept: Mapping[str, Any]) -> Settings:
    """Read settings as they are kept; what a newer version added is passed over."""
    known = _known(kept, {field.name for field in fields(Settings)})
    values: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in known.items()
    }
    if "chat_policy" in values:
        values["chat_policy"] = ChatPolicy(values["chat_policy"])
    return Settings(**values)


def consent_of(kept: Mapping[str, Any]) -> Consent:
    """Read what somebody agrees to as it is kept."""
    return Consent(**_known(kept, {field.name for field in fields(Consent)}))


def _known(kept: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in kept.items() if name in names}


__all__ = [
    "HOST_LEAVES_END",
    "HOST_LEAVES_HAND_OVER",
    "LANGUAGES",
    "RETENTION_SECONDS",
    "SWITCHES",
    "CaptionsOff",
    "ChatPolicy",
    "Consent",
    "EmotionsNotAllowed",
    "LanguageNotSupported",
    "MeetingEncrypted",
    "Settings",
    "consent_of",
    "settings_of",
    "stored",
]
