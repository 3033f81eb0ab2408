"""A database of the first release, with people in it, comes up to today's."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parley.user.v1 import user_pb2

from services.user.app import MIGRATIONS
from tests.user_stand import refusal, stand_with

ROOT = Path(__file__).resolve().parents[3]


def as_released(url: str, folder: Path) -> None:
    """Bring a database to what release 0.1's last migration made."""
    versions = folder / "released" / "versions"
    versions.mkdir(parents=True)
    for path in (MIGRATIONS / "versions").glob("000[12]_*.py"):
        (versions / path.name).write_text(path.read_text())
    subprocess.run(
        [sys.executable, "-m", "chassis.migration", str(versions.parent)],
        cwd=ROOT,
        env={**os.environ, "PARLEY_DATABASE_URL": url},
        check=True,
    )


async def test_people_and_keys_of_the_first_release_are_taken_over(
    empty_database: str, tmp_path: Path
) -> None:
    url, now = empty_database, datetime.now(UTC)
    as_released(url, tmp_path)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
        await connection.execute(
            "INSERT INTO users VALUES (%s, 'old', 'old@example.org', 'Old', 'user', '', %s, %s, 1)",
            (uuid4(), now, now),
        )
        await connection.execute("INSERT INTO signing_keys VALUES ('released', %s, %s)", (pem, now))
    async with stand_with(url, tmp_path / "user") as stand:
        request = user_pb2.GetJsonWebKeySetRequest()
        keys = (await stand.nobody.auth("GetJsonWebKeySet", request)).keys
        assert [key.kid for key in keys] == ["released"]
        taken = user_pb2.RegisterRequest(
            username="old", email="other@example.org", password="correct horse"
        )
        assert await refusal(stand.nobody.auth("Register", taken)) == "USERNAME_TAKEN"
