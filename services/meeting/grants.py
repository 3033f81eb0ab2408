"""What a participant may do in the call. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Grants:
    """What somebody may do: each is something to send, to receive, or to run."""

    publish_audio: bool = False
    publish_video: bool = False
    publish_screen: bool = False
    subscribe: bool = False
    chat: bool = False
    record: bool = False
    administer: bool = False

    @property
    def sources(self) -> list[str]:
        """The sources of tracks that may be published, as tickets name them."""
        return [
            *(["microphone"] if self.publish_audio else []),
            *(["camera"] if self.publish_video else []),
            *(["screen", "screen_audio"] if self.publish_screen else []),
        ]


def kept(grants: Grants | None) -> dict[str, bool] | None:
    """Turn grants into what is kept."""
    return None if grants is None else asdict(grants)


def grants_of(values: Mapping[str, bool] | None) -> Grants | None:
    """Read grants as they are kept; what a newer version added is passed over."""
    if values is None:
        return None
    known = {field.name for field in fields(Grants)}
    return Grants(**{name: value for name, value in values.items() if name in known})


__all__ = ["Grants", "grants_of", "kept"]
