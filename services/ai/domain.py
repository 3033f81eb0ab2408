"""What the ai service refuses. Pure."""

from __future__ import annotations

from chassis.errors import InvalidArgument, ResourceExhausted


class StartFirst(InvalidArgument):
    """An analysis begins with `start`, once."""

    reason = "START_FIRST"
    message = "An analysis begins with start, once."


class AudioInvalid(InvalidArgument):
    """Sound is 16-bit samples, so its bytes are even in number."""

    reason = "AUDIO_INVALID"
    message = "The sound is not a whole number of 16-bit samples."


class TooManyStreams(ResourceExhausted):
    """The process analyses as many streams as it takes. Try again; another may have room."""

    reason = "TOO_MANY_STREAMS"
    message = "This server analyses as many streams as it takes."
