"""Accounts: somebody new registers, signs in and out, and reads and changes their profile."""

from __future__ import annotations

from loadtest.client.answers import body, check, objects, read, refused, text_of
from loadtest.client.cases import case
from loadtest.client.visit import Visit

NEW_NAME = "Visitor 访客"


def _credentials(visit: Visit, password: str) -> dict[str, str]:
    return {"username_or_email": visit.username, "password": password}


@case("user", "register")
async def register(visit: Visit) -> str:
    """A new account, and tokens."""
    fields = {"username": visit.username, "email": f"{visit.username}@example.org"}
    made = body(await visit.post("/api/v1/auth/register", {**fields, "password": visit.password}))
    visit.user = text_of(made, "user.name")
    visit.access_token = text_of(made, "access_token")
    visit.refresh_token = text_of(made, "refresh_token")
    return visit.username


@case("user", "login", needs=(register,))
async def login(visit: Visit) -> str:
    """A second session of the same account."""
    session = body(await visit.post("/api/v1/auth/login", _credentials(visit, visit.password)))
    visit.second_refresh_token = text_of(session, "refresh_token")
    check(text_of(session, "user.name") == visit.user, "this is somebody else's account")
    return f"good for {read(session, 'expires_in', int)} s"


@case("user", "a wrong password is refused", needs=(register,))
async def wrong_password(visit: Visit) -> str:
    """The answer does not tell what is wrong."""
    answer = await visit.post("/api/v1/auth/login", _credentials(visit, f"{visit.password}x"))
    return refused(answer, 401, "WRONG_CREDENTIALS")


@case("user", "refresh", needs=(register,))
async def refresh(visit: Visit) -> str:
    """A new pair of tokens, which the visit goes on with."""
    spent = visit.refresh_token
    pair = body(await visit.post("/api/v1/auth/refresh", {"refresh_token": spent}))
    visit.access_token = text_of(pair, "access_token")
    visit.refresh_token = text_of(pair, "refresh_token")
    check(visit.refresh_token != spent, "the refresh token is the same as before")
    return ""


@case("user", "profile: read", needs=(register,))
async def profile(visit: Visit) -> str:
    """The visitor's own, with the e-mail address."""
    found = body(await visit.get("/api/v1/users/me"))
    check(text_of(found, "name") == visit.user, "this is somebody else's profile")
    check(text_of(found, "email") == f"{visit.username}@example.org", "the e-mail is another")
    return visit.user


@case("user", "profile: change", needs=(register,))
async def change_profile(visit: Visit) -> str:
    """The change is there when it is read again."""
    body(await visit.call("PATCH", "/api/v1/users/me", json={"display_name": NEW_NAME}))
    found = text_of(body(await visit.get("/api/v1/users/me")), "display_name")
    check(found == NEW_NAME, f"the display name is {found!r}")
    return ""


@case("user", "the keys that sign tokens (JWKS)")
async def keys(visit: Visit) -> str:
    """RFC 7517; public, and with no private part."""
    found = objects(body(await visit.get("/.well-known/jwks.json")), "keys")
    check(bool(found), "there is no key")
    for key in found:
        check(all(text_of(key, name) for name in ("kty", "kid", "x")), "a key is not whole")
        check("d" not in key, "a PRIVATE key is published")
    return f"{len(found)} of {text_of(found[0], 'alg')}"


@case("user", "logout ends the second session", needs=(login,))
async def logout(visit: Visit) -> str:
    """Its refresh token works no more."""
    token = {"refresh_token": visit.second_refresh_token}
    body(await visit.post("/api/v1/auth/logout", token))
    visit.second_refresh_token = ""
    return refused(await visit.post("/api/v1/auth/refresh", token), 401, "REFRESH_TOKEN_INVALID")
