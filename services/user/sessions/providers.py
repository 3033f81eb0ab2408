"""The OpenID Connect providers that the operator has set up, and the state of a sign-in with one. Pure: no I/O, no proto.

Nothing is kept of a sign-in that has begun: its state carries a MAC, and nonce (OpenID Connect Core 1.0 §3.1.2.1) and
PKCE verifier (RFC 7636) are made of it with a secret of the server's. So whoever begins many sign-ins fills nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from chassis.errors import NotFound, Unauthenticated, Unavailable

ID = re.compile(r"[a-z0-9-]{1,32}")
STATE_LIFETIME = timedelta(minutes=10)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class IdentityProviderNotFound(NotFound):
    """The operator has set up no such provider."""

    reason = "IDENTITY_PROVIDER_NOT_FOUND"
    message = "There is no such identity provider."


class IdentityProviderAway(Unavailable):
    """The provider does not answer, or not as OpenID Connect has it. Try again; tell the operator if it goes on."""

    reason = "IDENTITY_PROVIDER_AWAY"
    message = "The identity provider does not answer: try again."


class SignInInvalid(Unauthenticated):
    """The sign-in was not begun here, ten minutes ago or less, or the provider refuses its code. Begin anew."""

    reason = "SIGN_IN_INVALID"
    message = "This sign-in can't be completed: begin anew."


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, as the operator has it; `issuer` is where its configuration is found."""

    id: str
    display_name: str
    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: str = "openid email profile"

    @property
    def name(self) -> str:
        """The resource name, `identityProviders/{id}`."""
        return f"identityProviders/{self.id}"

    def check(self) -> None:
        """Raise ValueError for what can't work."""
        if ID.fullmatch(self.id) is None:
            raise ValueError(f"an identity provider's id is a-z, 0-9 and -, not {self.id!r}")
        parts = urlsplit(self.issuer)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        if not is_safe or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{self.id}: the issuer is an https address, not {self.issuer!r}")
        if not self.client_id or "openid" not in self.scopes.split():
            raise ValueError(f"{self.id}: client_id, and openid among the scopes, are needed")


def parse_providers(text: str) -> tuple[Provider, ...]:
    """Read a JSON list of providers; none for an empty text. Raises ValueError."""
    if not text:
        return ()
    try:
        providers = tuple(Provider(**each) for each in json.loads(text))
    except TypeError as error:
        raise ValueError(f"an identity provider is not complete: {error}") from None
    for provider in providers:
        provider.check()
    if len({provider.id for provider in providers}) < len(providers):
        raise ValueError("two identity providers have the same id")
    return providers


def provider_named(providers: Sequence[Provider], name: str) -> Provider:
    """Find a provider by its resource name. Raises IdentityProviderNotFound."""
    for provider in providers:
        if provider.name == name:
            return provider
    raise IdentityProviderNotFound(provider=name)


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun: what the browser holds, and what is known of it here alone."""

    state: str
    nonce: str
    verifier: str


def begin(secret: bytes, key_id: str, provider: Provider, now: datetime) -> Begun:
    """Begin a sign-in; `key_id` names the secret."""
    until = int((now + STATE_LIFETIME).timestamp())
    said = f"{key_id}.{until}.{secrets.token_urlsafe(16)}"
    return _begun(f"{said}.{_mac(secret, provider.id, said)}", secret)


def key_id_of(state: str) -> str:
    """Read which secret a state was made with; whether it was is another question."""
    return state.partition(".")[0]


def resume(secret: bytes, provider: Provider, state: str, now: datetime) -> Begun:
    """Find what a state stands for. Raises SignInInvalid when it is not ours, not this provider's, or too old."""
    said, _, mac = state.rpartition(".")
    if not hmac.compare_digest(mac.encode(), _mac(secret, provider.id, said).encode()):
        raise SignInInvalid
    if int(said.split(".")[1]) < now.timestamp():
        raise SignInInvalid
    return _begun(state, secret)


def _begun(state: str, secret: bytes) -> Begun:
    return Begun(state, _mac(secret, "nonce", state), _mac(secret, "verifier", state))


def _mac(secret: bytes, purpose: str, text: str) -> str:
    digest = hmac.digest(secret, f"{purpose}\n{text}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says of somebody; an e-mail address counts for nothing unless `email_verified`."""

    subject: str
    email: str = ""
    email_verified: bool = False
    display_name: str = ""
    username: str = ""


def read_claims(said: dict[str, Any]) -> Claims:
    """Read an ID token's claims, or those of UserInfo. Raises SignInInvalid for a subject of no use."""
    subject = said.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise SignInInvalid
    email = _text(said, "email").lower()
    is_address = 0 < len(email) <= 254 and re.fullmatch(r"[^@\s]+@[^@\s]+", email) is not None
    return Claims(
        subject,
        email if is_address else "",
        is_address and said.get("email_verified") in (True, "true"),
        " ".join(_text(said, "name").split())[:64],
        _text(said, "preferred_username"),
    )


def usernames(claims: Claims) -> tuple[str, str]:
    """Propose a username: what the provider calls them, and the same with something random behind it."""
    wished = claims.username or claims.email.partition("@")[0] or claims.display_name
    plain = re.sub(r"[^a-z0-9_.-]+", "-", wished.partition("@")[0].lower()).lstrip("_.-")
    plain = plain[:24] if len(plain) >= 3 else f"user{plain}"
    return plain, f"{plain}-{secrets.token_hex(3)}"


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value.strip() if isinstance(value, str) else ""


__all__ = [
    "STATE_LIFETIME",
    "Begun",
    "Claims",
    "IdentityProviderAway",
    "IdentityProviderNotFound",
    "Provider",
    "SignInInvalid",
    "begin",
    "key_id_of",
    "parse_providers",
    "provider_named",
    "read_claims",
    "resume",
    "usernames",
]
