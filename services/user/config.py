"""What the user service needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from chassis.config import ConfigError
from chassis.mail import MailConfig
from services.user.sessions.providers import parse_providers

MAX_GUEST_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(MailConfig):
    """Lifetimes are in seconds; `hashing_threads` bounds how many passwords are hashed at once."""

    database_url: str
    access_token_seconds: int = 900
    session_seconds: int = 30 * 24 * 3600
    api_key_token_seconds: int = 55
    """Short, so that a key that is revoked stops working within a minute, the verifiers' leeway included."""
    guest_seconds: int = 4 * 3600
    verify_email: bool = False
    """Whether one signs in with a proven e-mail address alone."""
    identity_providers: str = field(default="", repr=False)
    """JSON, a list of objects as services.user.sessions.providers.Provider has them."""
    hashing_threads: int = 2
    hashing_queue: int = 64

    def __post_init__(self) -> None:
        """Raise ConfigError for what can't work."""
        if not 60 <= self.guest_seconds <= MAX_GUEST_SECONDS:
            raise ConfigError(
                f"PARLEY_GUEST_SECONDS is {self.guest_seconds}; it is from 60 to {MAX_GUEST_SECONDS}."
            )
        try:
            parse_providers(self.identity_providers)
        except ValueError as error:
            raise ConfigError(f"PARLEY_IDENTITY_PROVIDERS: {error}.") from None

    @property
    def longest_token_seconds(self) -> int:
        """How long an access token of any kind may live."""
        return max(self.access_token_seconds, self.api_key_token_seconds, self.guest_seconds)
