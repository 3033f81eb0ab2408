"""What an operator says about who gets through, and what is made of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.meeting.joining.turn import Turn
from stack import settings
from stack.cli import _advertised
from stack.errors import StackError
from stack.reach import relay_of
from stack.services import media_host
from stack.stun import Relay

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TURN = """
[turn]
urls = ["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:443?transport=tcp"]
secret = "north"
tls_name = "turn.example.org"
tls_upstream = "127.0.0.1:5349"
"""


def test_turn_credentials_are_those_that_coturn_computes() -> None:
    turn = Turn(("turn:turn.example.org",), "north", timedelta(hours=12))
    server = turn.server("7f3c", NOON)
    assert server.username == "1767312000:7f3c"
    digest = hmac.new(b"north", b"1767312000:7f3c", hashlib.sha1).digest()
    assert base64.b64decode(server.credential) == digest
    assert list(server.urls) == ["turn:turn.example.org"]
    assert "north" not in repr(turn)


def test_the_relay_of_the_settings_is_read(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text(TURN)
    turn = settings.load(tmp_path / "parley.toml").turn
    assert (turn.secret, turn.lifetime, turn.tls_upstream) == ("north", 43_200, "127.0.0.1:5349")
    assert "north" not in repr(turn)
    assert [relay_of(url) for url in turn.urls] == [
        Relay("turn", "turn.example.org", 3478, "udp"),
        Relay("turns", "turn.example.org", 443, "tcp"),
    ]
    assert relay_of("turns:[2001:db8::1]") == Relay("turns", "2001:db8::1", 5349, "tcp")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('secret = "north"\n', "", "both `urls` and `secret`"),
        ("turn:turn", "http:turn", "not an address"),
        ("?transport=udp", "?transport=sctp", "not an address"),
        ('tls_name = "turn.example.org"\n', "", "both `tls_name` and `tls_upstream`"),
        ('tls_name = "turn.', 'tls_name = "; include x;', "not a host's name"),
        ("127.0.0.1:5349", "127.0.0.1; }", "not host:port"),
        ('secret = "north"\n', 'secret = "north"\nlifetime = 5\n', "10 minutes"),
    ],
)
def test_a_relay_that_can_not_work_is_named_before_anything_starts(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    (tmp_path / "parley.toml").write_text(TURN.replace(before, after))
    with pytest.raises(StackError, match=said):
        settings.load(tmp_path / "parley.toml")


@pytest.mark.parametrize(
    ("advertise", "host"),
    [
        (("127.0.0.1",), "127.0.0.1"),
        (("::1",), "::1"),
        (("203.0.113.5",), "0.0.0.0"),
        (("203.0.113.5", "2001:db8::5"), "::"),
        (("127.0.0.1", "203.0.113.5"), "0.0.0.0"),
    ],
)
def test_media_listens_no_wider_than_it_is_offered(advertise: tuple[str, ...], host: str) -> None:
    assert media_host(advertise) == host


def test_addresses_are_advertised_in_the_order_given() -> None:
    assert _advertised("", "127.0.0.1") == ("127.0.0.1",)
    assert _advertised("203.0.113.5, 2001:db8::5", "0.0.0.0") == ("203.0.113.5", "2001:db8::5")


@pytest.mark.parametrize(
    ("text", "listen"), [("", "0.0.0.0"), ("::", "::"), ("meet.example.org", "0.0.0.0")]
)
def test_what_a_browser_could_not_reach_is_not_advertised(text: str, listen: str) -> None:
    with pytest.raises(StackError, match="--advertise ADDR"):
        _advertised(text, listen)
