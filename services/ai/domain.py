"""What the ai service refuses. Pure."""

from __future__ import annotations

from chassis.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable


class StartFirst(InvalidArgument):
    """An analysis begins with `start`, once."""

    reason = "START_FIRST"
    message = "An analysis begins with start, once."


class AudioInvalid(InvalidArgument):
    """The sound can't be read: live, it is 16-bit samples; a file is WAV, Ogg or WebM with Opus, or MP3."""

    reason = "AUDIO_INVALID"
    message = "The sound is not a whole number of 16-bit samples."


class AudioTooLong(InvalidArgument):
    """The recording is longer than what is recognised at once. Put it into the library, or cut it."""

    reason = "AUDIO_TOO_LONG"
    message = "The recording is too long."


class LanguageNotSupported(InvalidArgument):
    """No model of this server knows the language. ListModels tells which they know."""

    reason = "LANGUAGE_NOT_SUPPORTED"
    message = "This server knows no such language."


class ConfigFirst(InvalidArgument):
    """A stream of speech begins with `config`, once."""

    reason = "CONFIG_FIRST"
    message = "A stream of speech begins with config, once."


class ModelNotReady(Unavailable):
    """The model is being fetched or built, or could not be. Try again later; the log and ListModels tell how it stands."""

    reason = "MODEL_NOT_READY"
    message = "The model is not ready yet."


class AiBusy(ResourceExhausted):
    """As much waits to be recognised, or summarised, as may. Try again a little later."""

    reason = "AI_BUSY"
    message = "This server has too much to do just now."


class TooManyStreams(ResourceExhausted):
    """The process analyses as many streams as it takes. Try again; another may have room."""

    reason = "TOO_MANY_STREAMS"
    message = "This server analyses as many streams as it takes."


class ImageInvalid(InvalidArgument):
    """The picture can't be read: it is not JPEG, PNG or WebP, is broken, or is too small. A frame is I420."""

    reason = "IMAGE_INVALID"
    message = "The file is no JPEG, PNG or WebP picture that can be read."


class ImageTooLarge(InvalidArgument):
    """The picture has more than 25 million pixels, or a side of more than 16,384. Make it smaller."""

    reason = "IMAGE_TOO_LARGE"
    message = "The picture has too many pixels."


class EmotionsNotAllowed(FailedPrecondition):
    """The operator of this installation does not allow expressions to be read; nobody else can change that."""

    reason = "EMOTIONS_NOT_ALLOWED"
    message = "Reading expressions is not allowed here."
