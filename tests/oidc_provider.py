"""An OpenID Connect provider for tests, on Authlib's server: `python -m tests.oidc_provider PORT PEOPLE REDIRECT_URI`.

PEOPLE is JSON: login → claims. Whoever is named by `login` in the authorization address has signed in, or the first of
them where nobody is named, as browsers come. What a person's
claims have under `id_token` goes into their ID token in place of what would be right, and with `only_user_info` their
address is told by UserInfo alone. It wants PKCE, and the one client's secret.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin
from authlib.oidc.core import OpenIDCode as AuthlibOpenIDCode
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

from tests.servers import free_port

CLIENT_ID = "parley"
CLIENT_SECRET = "a client's secret"
REDIRECT_URI = "http://parley.test/signed-in/test"
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class TheClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """The one client, and where people are sent back to, at whatever port."""

    redirect_uri: str

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return _without_port(redirect_uri) == _without_port(self.redirect_uri)

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that was given out."""

    login: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass
class Kept:
    """What the provider knows."""

    people: dict[str, dict[str, Any]]
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: new_key("1"))


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


def claims_of(kept: Kept, login: str, *, id_token: bool) -> dict[str, Any]:
    person = dict(kept.people[login])
    wrong, hidden = person.pop("id_token", {}), person.pop("only_user_info", False)
    if id_token and hidden:
        person = {}
    return {"sub": login, **person, **(wrong if id_token else {})}


def code_grant(kept: Kept) -> type[Any]:
    class Grant(AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            asked = request.payload.data
            kept.codes[code] = Code(
                request.user,
                asked["redirect_uri"],
                asked["scope"],
                asked.get("nonce", ""),
                asked["code_challenge"],
                asked["code_challenge_method"],
            )

        def query_authorization_code(self, code: str, client: Any) -> Code | None:
            return kept.codes.get(code)

        def delete_authorization_code(self, authorization_code: Code) -> None:
            kept.codes = {k: v for k, v in kept.codes.items() if v is not authorization_code}

        def authenticate_user(self, authorization_code: Code) -> str:
            return authorization_code.login

    return Grant


def id_tokens(kept: Kept) -> Any:
    class OpenIDCode(AuthlibOpenIDCode):  # type: ignore[misc]
        def exists_nonce(self, nonce: str, request: Any) -> bool:
            return False

        def resolve_client_private_key(self, client: Any) -> RSAKey:
            return kept.key

        def get_encode_header(self, client: Any) -> dict[str, str]:
            return {"alg": "RS256", "kid": str(kept.key.kid)}

        def get_client_algorithm(self, client: Any) -> str:
            return "RS256"

        def get_client_claims(self, client: Any) -> dict[str, Any]:
            return {"iss": flask.request.host_url.rstrip("/")}

        def generate_user_info(self, user: str, scope: str) -> dict[str, Any]:
            return claims_of(kept, user, id_token=True)

    return OpenIDCode(require_nonce=True)


def provider(people: dict[str, dict[str, Any]], redirect_uri: str) -> flask.Flask:
    app, kept = flask.Flask(__name__), Kept(people)

    def save_token(token: dict[str, Any], request: Any) -> None:
        kept.tokens[token["access_token"]] = request.user

    server = AuthorizationServer(app, lambda _: TheClient(redirect_uri), save_token)
    server.register_grant(code_grant(kept), [id_tokens(kept), CodeChallenge(required=True)])

    @app.get("/.well-known/openid-configuration")
    def configuration() -> dict[str, Any]:
        issuer = flask.request.host_url.rstrip("/")
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    @app.get("/authorize")
    def authorize() -> Any:
        login = flask.request.args.get("login", next(iter(people)))
        grant = server.get_consent_grant(end_user=login)
        return server.create_authorization_response(grant_user=login, grant=grant)

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.get("/userinfo")
    def userinfo() -> dict[str, Any]:
        bearer = flask.request.headers["authorization"].removeprefix("Bearer ")
        return claims_of(kept, kept.tokens[bearer], id_token=False)

    @app.get("/jwks")
    def jwks() -> Any:
        return KeySet([kept.key]).as_dict(private=False)

    @app.post("/rotate")
    def rotate() -> dict[str, Any]:
        kept.key = new_key(str(int(str(kept.key.kid)) + 1))
        return {}

    return app


@dataclass(frozen=True, slots=True)
class RunningProvider:
    """A provider in a process of its own."""

    issuer: str
    redirect_uri: str

    def sign_in(self, authorization_uri: str, login: str) -> tuple[str, str]:
        """Do what a browser does, as somebody who is signed in there: gives the code and the state that come back."""
        assert authorization_uri.startswith(f"{self.issuer}/")
        answer = httpx.get(authorization_uri, params=_with(authorization_uri, login=login))
        assert answer.status_code == 302, answer.text
        where = urlsplit(answer.headers["location"])
        assert where._replace(query="").geturl() == self.redirect_uri
        came = parse_qs(where.query)
        return came["code"][0], came["state"][0]

    def rotate(self) -> None:
        assert httpx.post(f"{self.issuer}/rotate").status_code == 200


def _without_port(uri: str) -> tuple[str, str | None, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.path


def _with(uri: str, **more: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(uri).query).items()} | more


@contextmanager
def provider_running(
    people: Mapping[str, Mapping[str, Any]], redirect_uri: str = REDIRECT_URI
) -> Iterator[RunningProvider]:
    """Run a provider until the block ends."""
    port = free_port()
    arguments = [str(port), json.dumps(people), redirect_uri]
    command = [sys.executable, "-m", "tests.oidc_provider", *arguments]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            issuer = f"http://127.0.0.1:{port}"
            _await(process, f"{issuer}/jwks")
            yield RunningProvider(issuer, redirect_uri)
        finally:
            process.kill()


def _await(process: subprocess.Popen[bytes], uri: str) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, "the provider has ended"
        assert time.monotonic() < limit, "the provider never answered"
        try:
            httpx.get(uri).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    app = provider(json.loads(sys.argv[2]), sys.argv[3])
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
