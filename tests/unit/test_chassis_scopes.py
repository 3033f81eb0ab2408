"""The table of scopes: every method is in it or is meant not to be, and what it says is what holds."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from parley.meeting.v1 import meeting_pb2
from parley.options.v1.options_pb2 import Access

from chassis.auth import UserPrincipal
from chassis.scopes import (
    ANY,
    MEETING_FIELD_OF,
    SCOPE_OF,
    SCOPES,
    NotForGuests,
    ScopeMissing,
    check_may_call,
    check_meeting,
)
from stack.rest import Method, described, methods

FOR_PEOPLE = {
    "parley.user.v1.CredentialService",
    "parley.user.v1.SessionService",
    "parley.user.v1.ApiKeyService",
}
"""What programs never do: they would make themselves what a stolen key could not."""
OF_PEOPLE = {
    "/parley.user.v1.UserService/UpdateUser",
    "/parley.user.v1.AccountService/SetAvatar",
    "/parley.user.v1.AccountService/DeleteAvatar",
    "/parley.user.v1.AccountService/ExportAccount",
    "/parley.user.v1.AccountService/DeleteAccount",
}
SIGNED_IN = [
    method
    for method in methods(described())
    if method.access in (Access.ACCESS_USER, Access.ACCESS_ADMIN)
]
POOL = DescriptorPool()
for file in described().file:
    POOL.Add(file)


def program(*scopes: str) -> UserPrincipal:
    return UserPrincipal("u", "k", "user", scopes=frozenset(scopes))


def guest(meeting: str = "meetings/abc-defg-hij") -> UserPrincipal:
    return UserPrincipal("g", "s", "guest", meeting=meeting)


@pytest.mark.parametrize("method", SIGNED_IN, ids=lambda method: method.path)
def test_each_method_has_a_scope_or_is_for_people_alone(method: Method) -> None:
    is_for_people = method.service in FOR_PEOPLE or method.path in OF_PEOPLE
    assert (method.path in SCOPE_OF) != is_for_people
    if method.access == Access.ACCESS_ADMIN:
        assert SCOPE_OF[method.path] == "admin"
    elif not is_for_people:
        assert SCOPE_OF[method.path] != "admin"


def test_the_tables_name_nothing_that_is_not_there() -> None:
    assert set(SCOPE_OF) <= {method.path for method in SIGNED_IN}
    assert set(MEETING_FIELD_OF) <= {method.path for method in SIGNED_IN}


@pytest.mark.parametrize("method", SIGNED_IN, ids=lambda method: method.path)
def test_a_program_may_call_what_its_scopes_say_and_nothing_else(method: Method) -> None:
    check_may_call(UserPrincipal("u", "s", "user"), method.path)
    needed = SCOPE_OF.get(method.path)
    for scope in SCOPES:
        if needed in (scope, ANY):
            check_may_call(program(scope), method.path)
        else:
            with pytest.raises(ScopeMissing):
                check_may_call(program(scope), method.path)


@pytest.mark.parametrize("method", SIGNED_IN, ids=lambda method: method.path)
def test_a_guest_may_call_what_names_their_meeting(method: Method) -> None:
    if method.path not in MEETING_FIELD_OF:
        with pytest.raises(NotForGuests):
            check_may_call(guest(), method.path)
        return
    check_may_call(guest(), method.path)
    field = MEETING_FIELD_OF[method.path]
    kind = GetMessageClass(POOL.FindMessageTypeByName(method.request))
    for named in ("meetings/abc-defg-hij", "meetings/abc-defg-hij/things/1"):
        check_meeting(guest(), method.path, kind(**{field: named}))
    for other in ("", "meetings/abc-defg-hik", "meetings/abc-defg-hijk", "users/me"):
        with pytest.raises(NotForGuests):
            check_meeting(guest(), method.path, kind(**{field: other}))


def test_people_may_ask_for_any_meeting() -> None:
    path = "/parley.meeting.v1.MeetingService/GetMeeting"
    check_meeting(program(), path, meeting_pb2.GetMeetingRequest(name="meetings/abc-defg-hij"))


def test_nobody_s_scopes_are_no_scopes() -> None:
    with pytest.raises(ScopeMissing):
        check_may_call(program(), "/parley.meeting.v1.MeetingService/GetMeeting")
