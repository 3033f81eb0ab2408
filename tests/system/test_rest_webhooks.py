"""Webhooks and events by REST: a whole stack, as a program would use them."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.rest import Person, reason
from tests.running_stack import RunningStack

HOOK = {
    "webhook": {"uri": "https://hooks.example.org/parley", "types": ["MEETING_EVENT_TYPE_ENDED"]}
}


def test_a_program_keeps_webhooks(stack: RunningStack, ann: Person, bob: Person) -> None:
    made = ann.call("POST", "/api/v1/webhooks", json=HOOK)
    assert made.status_code == 200, made.text
    name = made.json()["webhook"]["name"]
    assert made.json()["secret"].startswith("whsec_")
    listed = ann.call("GET", "/api/v1/webhooks").json()["webhooks"]
    assert [each["name"] for each in listed] == [name]
    assert "secret" not in listed[0]
    assert ann.call("GET", f"/api/v1/{name}/deliveries").json()["deliveries"] == []
    assert ann.call("POST", f"/api/v1/{name}:replay", json={}).status_code == 200
    refused = bob.call("DELETE", f"/api/v1/{name}")
    assert (refused.status_code, reason(refused)) == (404, "WEBHOOK_NOT_FOUND")
    assert ann.call("DELETE", f"/api/v1/{name}").status_code == 200


def test_webhooks_of_a_stack_reach_public_addresses_alone(stack: RunningStack, ann: Person) -> None:
    for uri in ("https://127.0.0.1/", "http://hooks.example.org/", "https://localhost/"):
        refused = ann.call("POST", "/api/v1/webhooks", json={"webhook": {"uri": uri}})
        assert (refused.status_code, reason(refused)) == (400, "WEBHOOK_ADDRESS_INVALID")


def test_events_come_as_a_stream(stack: RunningStack, ann: Person) -> None:
    meeting, told, is_over = ann.create_meeting(), list[dict[str, Any]](), threading.Event()

    def change() -> None:
        number = 0
        while not is_over.wait(0.2):  # the stream begins when it is open, which is not told
            ann.call("PATCH", f"/api/v1/{meeting}", json={"title": f"{(number := number + 1)}"})

    changing = threading.Thread(target=change)
    changing.start()
    try:
        headers = {"authorization": f"Bearer {ann.access_token}"}
        with ann.http.stream(
            "GET", f"/api/v1/events:watch?meeting={meeting}", headers=headers
        ) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "MEETING_EVENT_TYPE_UPDATED":
                    told.append(event)
                if len(told) == 2:
                    break
    finally:
        is_over.set()
        changing.join()
    assert told[0]["meeting"]["name"] == meeting
    assert int(told[1]["meeting"]["title"]) == int(told[0]["meeting"]["title"]) + 1
