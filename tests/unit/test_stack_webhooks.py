"""What an operator may say about webhooks."""

from __future__ import annotations

from pathlib import Path

from stack.settings import load


def test_without_a_word_webhooks_are_out_on_the_internet_and_by_https(tmp_path: Path) -> None:
    made = load(tmp_path / "parley.toml").webhooks
    assert (made.private_addresses, made.http) == (False, False)


def test_what_an_operator_allows_is_taken_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text("[webhooks]\nprivate_addresses = true\nhttp = true\n")
    made = load(path).webhooks
    assert (made.private_addresses, made.http) == (True, True)
