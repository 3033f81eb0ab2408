"""Where a call comes from."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.languages import preferred_language
from services.user.origin import Origin, origin


class Call:
    def __init__(self, peer: str = "ipv4:127.0.0.1:4711", **headers: Any) -> None:
        self._peer = peer
        self._headers = headers

    def invocation_metadata(self) -> list[tuple[str, Any]]:
        return [(name.replace("_", "-"), value) for name, value in self._headers.items()]

    def peer(self) -> str:
        return self._peer


@pytest.mark.parametrize(
    ("call", "address"),
    [
        (Call(x_forwarded_for="192.0.2.1"), "192.0.2.1"),
        (Call(x_forwarded_for="6.6.6.6, 192.0.2.1"), "192.0.2.1"),
        (Call(x_forwarded_for="::ffff:192.0.2.1"), "192.0.2.1"),
        (Call(x_forwarded_for="2001:DB8::1"), "2001:db8::1"),
        (Call(), "127.0.0.1"),
        (Call(x_forwarded_for="nonsense"), "127.0.0.1"),
        (Call(peer="ipv6:%5B::1%5D:4711"), "::1"),
        (Call(peer="unix:/run/x"), ""),
    ],
)
def test_the_address_is_what_the_gateway_says_or_who_calls(call: Call, address: str) -> None:
    assert origin(call).address == address


def test_an_agent_is_printable_and_short() -> None:
    assert origin(Call(user_agent="a\r\nb\x00" + "x" * 999)).user_agent == "ab" + "x" * 254


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,zh;q=0.5", "zh"),
        ("zh;q=0,en;q=0.1", "en"),
        ("ZH-hant-tw", "zh"),
        (";;;,=,zh;q=x", "en"),
    ],
)
def test_people_are_written_to_in_the_language_that_they_prefer(header: str, language: str) -> None:
    assert preferred_language(header) == language


def test_of_ipv6_a_whole_network_is_one_place() -> None:
    assert Origin("2001:db8::1").network == Origin("2001:db8::ffff:2").network == "2001:db8::/64"
    assert Origin("192.0.2.1").network == "192.0.2.1"
    assert Origin("").network == ""
