"""The gateway itself: whether it lives, whether all behind it do, and how it refuses."""

from __future__ import annotations

from loadtest.client.answers import answered, body, check, read, refused
from loadtest.client.cases import case
from loadtest.client.visit import Visit

SECURITY_HEADERS = {
    "content-security-policy": "default-src",
    "referrer-policy": "",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Each header, and what it must at least say."""

SAMPLE_PATHS = ("/", "/healthz", "/.well-known/jwks.json", "/api/v1/users/me")


@case("gateway", "/healthz says ok")
async def healthz(visit: Visit) -> str:
    """Nginx answers by itself."""
    status = read(body(await visit.get("/healthz")), "status", str)
    check(status == "ok", f"status {status!r}, not 'ok'")
    return ""


@case("gateway", "/readyz: every service is reached")
async def readyz(visit: Visit) -> str:
    """Envoy has a healthy process of each service."""
    answered(await visit.get("/readyz"))
    return ""


@case("gateway", "an unknown route is a 404 in JSON")
async def unknown(visit: Visit) -> str:
    """It has the one shape that errors have."""
    return refused(await visit.get("/api/v1/no-such-thing"), 404, "NOT_FOUND")


@case("gateway", "security headers on every answer")
async def headers(visit: Visit) -> str:
    """The app, the API and the refusals all have them."""
    for path in SAMPLE_PATHS:
        answer = await visit.http.get(path)
        for name, wanted in SECURITY_HEADERS.items():
            found = answer.headers.get(name)
            check(found is not None and wanted in found, f"{path}: {name} is {found!r}")
    return ", ".join(SECURITY_HEADERS)


@case("gateway", "without a token, nobody gets in")
async def without_token(visit: Visit) -> str:
    """Methods for users are refused."""
    return refused(await visit.http.get("/api/v1/users/me"), 401, "UNAUTHENTICATED")
