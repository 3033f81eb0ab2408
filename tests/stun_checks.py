"""Connectivity checks as a browser sends them (RFC 8445 §7.2)."""

from __future__ import annotations

from aioice import stun

from services.media.ice import Credentials


def check(credentials: Credentials, *, password: str = "") -> bytes:
    """Make a check that nominates its pair; with another `password`, one that is forged."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{credentials.ufrag}:them"
    message.attributes["PRIORITY"] = 1
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity((password or credentials.password).encode())
    return bytes(message)


__all__ = ["check"]
