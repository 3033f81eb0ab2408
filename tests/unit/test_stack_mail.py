"""What an operator may say about mail and accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.errors import StackError
from stack.settings import load


def settings(folder: Path, text: str) -> Path:
    path = folder / "parley.toml"
    path.write_text(text)
    return path


def test_without_a_word_there_is_no_server_and_nobody_proves_an_address(tmp_path: Path) -> None:
    made = load(tmp_path / "parley.toml")
    assert (made.mail.host, made.accounts.verify_email) == ("", False)


def test_a_server_is_taken_as_it_is_written(tmp_path: Path) -> None:
    text = '[mail]\nhost = "smtp.example.org"\nport = 465\nsecurity = "tls"\n[accounts]\nverify_email = true\n'
    made = load(settings(tmp_path, text))
    assert (made.mail.host, made.mail.port, made.mail.security) == ("smtp.example.org", 465, "tls")
    assert made.accounts.verify_email


@pytest.mark.parametrize(
    "text",
    [
        'security = "ssl"',
        "port = 0",
        'host = "smtp://x"',
        'username = "parley"',
        'sender = "Parley"',
        'sender = "a@b\\nBcc: c@d"',
        'host = "smtp.example.org"\nsecurity = "none"\nusername = "a"\npassword = "b"',
        'no_such_key = "x"',
    ],
)
def test_what_can_not_work_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(StackError):
        load(settings(tmp_path, f"[mail]\n{text}\n"))
