"""What an operator may set about a stack: `parley.toml` in its state folder, read at start and at `./parley reload`.

Every table and key may be left out; a key that nobody knows is an error, so that a typing mistake is found. See
docs/gateway.md for what each does.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stack.errors import StackError

HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
HOST_NAME = re.compile(HOST)
UPSTREAM = re.compile(rf"({HOST}|\[[0-9a-f:.]+\]):([0-9]{{1,5}})")
TURN_URL = re.compile(
    rf"(turns?):({HOST}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?(?:\?transport=(udp|tcp))?"
)
"""RFC 7065 §3.1: scheme, host, port and transport."""
LOCAL_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Tls:
    """`certificate` and `key` are PEM files; without them the stack's own authority issues one for `names`."""

    required: bool = False
    certificate: str = ""
    key: str = ""
    names: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError when only one of certificate and key is given, or one is not there."""
        if bool(self.certificate) != bool(self.key):
            raise ValueError("[tls] needs both `certificate` and `key`, or neither")
        for path in (self.certificate, self.key):
            if path and not Path(path).is_file():
                raise ValueError(f"[tls] names {path}, which is not a file")


@dataclass(frozen=True, slots=True)
class Cors:
    """`origins` are the web pages' origins that may call the API beside our own, such as `https://app.example.org`."""

    origins: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError for what is not an origin."""
        for origin in self.origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(f"[cors] {origin!r} is not an origin like https://app.example.org")


@dataclass(frozen=True, slots=True)
class Access:
    """Networks that may (`allow`; when empty, all) and may not (`deny`) come in, in CIDR notation. `deny` wins."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError for what is not a network."""
        for network in (*self.allow, *self.deny):
            ipaddress.ip_network(network)


@dataclass(frozen=True, slots=True)
class Rate:
    """`steady` requests a second for as long as one likes, and up to `burst` at once."""

    steady: float
    burst: int

    def check(self) -> None:
        """Raise ValueError for a rate that lets nothing through."""
        if self.steady <= 0 or self.burst < 1:
            raise ValueError("a rate needs `steady` above 0 and `burst` of at least 1")


@dataclass(frozen=True, slots=True)
class Policy:
    """A rate for each address, kept by Nginx, and one for each signed-in user, kept by Envoy; None for no such limit."""

    address: Rate
    user: Rate | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one address or user may ask, and how many requests may be open at once."""

    enabled: bool = True
    api: Policy = Policy(Rate(1000, 2000), Rate(300, 600))
    auth: Policy = Policy(Rate(3, 100))
    upload: Policy = Policy(Rate(5, 50), Rate(3, 30))
    websocket: Policy = Policy(Rate(5, 100))
    ai: Policy = Policy(Rate(10, 40), Rate(2, 20))
    open_per_address: int = 500
    open_total: int = 16_000
    requests_per_service: int = 4096
    """Envoy's circuit breaker: how many calls of one service may be under way."""

    @property
    def policies(self) -> Mapping[str, Policy]:
        """The rate-limit policies by name."""
        return {
            each.name: policy
            for each in dataclasses.fields(self)
            if isinstance(policy := getattr(self, each.name), Policy)
        }


@dataclass(frozen=True, slots=True)
class Objects:
    """Where the media library's files lie: a folder of the stack's own, or a bucket of any S3."""

    url: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""

    def check(self) -> None:
        """Raise ValueError for a store that is not S3."""
        if self.url and not self.url.startswith("s3://"):
            raise ValueError("[objects] `url` is s3://bucket/prefix; leave it out for a folder")


@dataclass(frozen=True, slots=True)
class Turn:
    """A TURN relay for those who reach us in no other way: coturn beside the stack, or anybody's that shares `secret`.

    `urls` are for browsers. `lifetime` is how many seconds credentials can be used. Connections to the HTTPS port that
    ask for `tls_name` (SNI) are passed on to `tls_upstream`, the relay's own TLS port, as `host:port`.
    """

    urls: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    lifetime: int = 43_200
    tls_name: str = ""
    tls_upstream: str = ""

    def check(self) -> None:
        """Raise ValueError for what can't work."""
        if bool(self.urls) != bool(self.secret):
            raise ValueError("[turn] needs both `urls` and `secret`, or neither")
        for url in self.urls:
            if TURN_URL.fullmatch(url) is None:
                raise ValueError(
                    f"[turn] {url!r} is not an address like turn:turn.example.org:3478"
                )
        if not 600 <= self.lifetime <= 604_800:
            raise ValueError(
                "[turn] `lifetime` is from 600 (10 minutes) to 604800 seconds (a week)"
            )
        if bool(self.tls_name) != bool(self.tls_upstream):
            raise ValueError("[turn] needs both `tls_name` and `tls_upstream`, or neither")
        if self.tls_name and HOST_NAME.fullmatch(self.tls_name) is None:
            raise ValueError(f"[turn] {self.tls_name!r} is not a host's name")
        if self.tls_upstream and UPSTREAM.fullmatch(self.tls_upstream) is None:
            raise ValueError(f"[turn] {self.tls_upstream!r} is not host:port")


@dataclass(frozen=True, slots=True)
class Media:
    """`last_n` cameras of a meeting are forwarded at once, those of who spoke last; screens and what is pinned always are."""

    last_n: int = 25

    def check(self) -> None:
        """Raise ValueError for a number out of bounds."""
        if not 1 <= self.last_n <= 500:
            raise ValueError("[media] `last_n` is from 1 to 500")


@dataclass(frozen=True, slots=True)
class Ai:
    """What the machine understands of meetings: see docs/ai.md.

    `emotions`: whether hosts may have expressions of faces read, each participant willing. `tasks`: what models are
    wanted for; all, when empty. `llm_url` and `llm_model`: a language model behind an OpenAI-compatible endpoint, which
    gets to read what was said to summarise and translate it; `llm_key`: its key, if it wants one.
    """

    emotions: bool = False
    tasks: tuple[str, ...] = ()
    llm_url: str = ""
    llm_model: str = ""
    llm_key: str = field(default="", repr=False)

    def check(self) -> None:
        """Raise ValueError for what can't work."""
        if bool(self.llm_url) != bool(self.llm_model):
            raise ValueError("[ai] needs both `llm_url` and `llm_model`, or neither")
        if self.llm_url and not self.llm_url.startswith(("http://", "https://")):
            raise ValueError(
                f"[ai] {self.llm_url!r} is not an address like https://llm.example.org/v1"
            )


@dataclass(frozen=True, slots=True)
class Accounts:
    """`verify_email`: whether one signs in with an e-mail address that is proven alone."""

    verify_email: bool = False


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Whether events are posted to addresses of private networks and this machine, too, and whether to http ones."""

    private_addresses: bool = False
    http: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    """The SMTP server that takes our mail; without one it lies in `outbox/` of the state folder.

    `security` is `starttls`, `tls` (from the beginning) or `none`; `sender` stands in From.
    """

    host: str = ""
    port: int = 587
    security: str = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    sender: str = "Parley <parley@localhost>"

    def check(self) -> None:
        """Raise ValueError for what can't work."""
        if self.security not in ("starttls", "tls", "none"):
            raise ValueError("[mail] `security` is starttls, tls or none")
        if self.host and HOST_NAME.fullmatch(self.host) is None:
            raise ValueError(f"[mail] {self.host!r} is not a host's name")
        if not 1 <= self.port <= 65535:
            raise ValueError("[mail] `port` is from 1 to 65535")
        if bool(self.username) != bool(self.password):
            raise ValueError("[mail] needs both `username` and `password`, or neither")
        if self.username and self.security == "none" and self.host not in LOCAL_HOSTS:
            raise ValueError("[mail] would send its password in clear: set `security`")
        if "@" not in self.sender or not self.sender.isprintable():
            raise ValueError(f"[mail] {self.sender!r} is not a sender like Parley <p@example.org>")


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An OpenID Connect provider that people may sign in by: see docs/operations.md. `display_name`: on its button."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    display_name: str = ""
    scopes: str = "openid email profile"


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it, with defaults that are safe on a machine of one's own."""

    tls: Tls = field(default_factory=Tls)
    cors: Cors = field(default_factory=Cors)
    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    objects: Objects = field(default_factory=Objects)
    turn: Turn = field(default_factory=Turn)
    media: Media = field(default_factory=Media)
    ai: Ai = field(default_factory=Ai)
    accounts: Accounts = field(default_factory=Accounts)
    webhooks: Webhooks = field(default_factory=Webhooks)
    mail: Mail = field(default_factory=Mail)
    identity_providers: Mapping[str, IdentityProvider] = field(default_factory=dict)
    """By their ids, in the order in which their buttons stand."""


def load(path: Path) -> Settings:
    """Read the settings; a file that is not there is an empty one. Raises StackError that names what is wrong."""
    try:
        made: Settings = _built(Settings, tomllib.loads(path.read_text()), "")
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise StackError(f"{path}: {error}.") from None
    return made


def _built(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass of a TOML table, over its defaults. Raises ValueError."""
    if not isinstance(values, Mapping):
        raise ValueError(f"[{where}] is a table")
    hints = typing.get_type_hints(kind)
    if unknown := sorted(set(values) - {each.name for each in dataclasses.fields(kind)}):
        raise ValueError(
            f"[{where}] has no {', '.join(unknown)}" if where else f"no [{unknown[0]}]"
        )
    given = {
        name: _value(_plain(hints[name]), value, f"{where}.{name}".strip("."))
        for name, value in values.items()
    }
    try:
        made = kind(**given)
    except TypeError:
        raise ValueError(f"[{where}] is not complete") from None
    if hasattr(made, "check"):
        made.check()
    return made


def _plain(kind: Any) -> Any:
    """Take the None out of `X | None`."""
    if isinstance(kind, types.UnionType):
        return next(each for each in typing.get_args(kind) if each is not type(None))
    return kind


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _built(typing.cast("type[Any]", kind), value, where)
    if typing.get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            raise ValueError(f"[{where}] is a table of tables")
        _, each = typing.get_args(kind)
        return {name: _value(each, item, f"{where}.{name}") for name, item in value.items()}
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueError(f"{where} is a list of texts")
        return tuple(value)
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is a {kind.__name__}")
    return value


__all__ = [
    "Access",
    "Accounts",
    "Ai",
    "Cors",
    "IdentityProvider",
    "Limits",
    "Mail",
    "Objects",
    "Policy",
    "Rate",
    "Settings",
    "Tls",
    "Turn",
    "Webhooks",
    "load",
]
