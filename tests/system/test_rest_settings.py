"""A meeting's settings by REST: the defaults, who may encrypt it, until when, and what that rules out."""

from __future__ import annotations

from typing import Any

import httpx
import jwt

from tests.rest import Person, reason, sign_up


def change(person: Person, meeting: str, **fields: Any) -> httpx.Response:
    return person.call("PATCH", f"/api/v1/{meeting}/settings", json=fields)


def ticket(person: Person, meeting: str) -> dict[str, Any]:
    joined = person.call("POST", f"/api/v1/{meeting}:join", json={}).json()
    claims: dict[str, Any] = jwt.decode(joined["ticket"], options={"verify_signature": False})
    assert claims["e2ee"] == joined["meeting"]["end_to_end_encrypted"]
    return claims


def test_a_new_meeting_has_the_documented_settings_and_is_not_encrypted(ann: Person) -> None:
    meeting = ann.create_meeting()
    settings = ann.call("GET", f"/api/v1/{meeting}/settings").json()
    assert settings["name"] == f"{meeting}/settings"
    assert settings["screen_sharing_allowed"]
    assert settings["chat_retention"] == settings["transcript_retention"] == "2592000s"
    off = (
        "lobby",
        "mute_on_entry",
        "captions",
        "transcript",
        "summary",
        "emotions",
        "end_to_end_encrypted",
    )
    assert not any(settings[name] for name in off)
    assert ticket(ann, meeting)["e2ee"] is False


def test_the_host_encrypts_a_meeting_before_anybody_joins_and_not_after(
    http: httpx.Client, ann: Person
) -> None:
    meeting, bob = ann.create_meeting(), sign_up(http, "bob")
    refused = change(bob, meeting, end_to_end_encrypted=True)
    assert (refused.status_code, reason(refused)) == (403, "NOT_HOST")
    stale = change(ann, meeting, end_to_end_encrypted=True, etag='"0"')
    assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
    etag = ann.call("GET", f"/api/v1/{meeting}").json()["etag"]
    changed = change(ann, meeting, end_to_end_encrypted=True, etag=etag)
    assert changed.json()["end_to_end_encrypted"]
    assert changed.json()["etag"] != etag
    assert ticket(bob, meeting)["e2ee"] is True
    path = f"/api/v1/{meeting}/settings"
    mask = {"update_mask": "end_to_end_encrypted"}
    late = ann.call("PATCH", path, params=mask, json={"end_to_end_encrypted": False})
    assert (late.status_code, reason(late)) == (400, "MEETING_ACTIVE")
    assert change(ann, meeting, end_to_end_encrypted=True).status_code == 200  # as it is


def test_an_encrypted_meeting_has_nothing_that_listens(ann: Person) -> None:
    meeting = ann.create_meeting()
    together = change(ann, meeting, end_to_end_encrypted=True, captions=True)
    assert (together.status_code, reason(together)) == (400, "MEETING_ENCRYPTED")
    assert change(ann, meeting, end_to_end_encrypted=True).status_code == 200
    for name in ("captions", "transcript", "summary", "emotions"):
        refused = change(ann, meeting, **{name: True})
        assert (refused.status_code, reason(refused)) == (400, "MEETING_ENCRYPTED")


def test_who_joins_begins_muted_where_the_host_wants_it(ann: Person, bob: Person) -> None:
    meeting = ann.create_meeting()
    assert ticket(bob, meeting)["begins_muted"] is False
    assert change(ann, meeting, mute_on_entry=True).json()["mute_on_entry"]
    assert ticket(bob, meeting)["begins_muted"] is True
    assert ticket(ann, meeting)["begins_muted"] is False
    path, mask = f"/api/v1/{meeting}/settings", {"update_mask": "mute_on_entry"}
    assert not ann.call("PATCH", path, params=mask, json={}).json()["mute_on_entry"]
    nothing = change(ann, meeting)
    assert (nothing.status_code, reason(nothing)) == (400, "INVALID_ARGUMENT")


def test_settings_of_a_meeting_that_is_over_or_unknown_are_refused(ann: Person) -> None:
    unknown = change(ann, "meetings/abc-defg-hij", end_to_end_encrypted=True)
    assert (unknown.status_code, reason(unknown)) == (404, "MEETING_NOT_FOUND")
    meeting = ann.create_meeting()
    assert ann.call("POST", f"/api/v1/{meeting}:end", json={}).status_code == 200
    over = change(ann, meeting, end_to_end_encrypted=True)
    assert (over.status_code, reason(over)) == (400, "MEETING_ENDED")
