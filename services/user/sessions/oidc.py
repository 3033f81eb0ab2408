"""OpenID Connect with a provider: discovery, the way there, and what it says of somebody (Core 1.0 §3.1, RFC 7636).

Authlib writes requests and checks metadata and claims, joserfc verifies signatures, httpx carries. A provider's
configuration and keys are kept for an hour; a key that is not known has the keys read again.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from chassis import logs
from services.user.sessions.providers import (
    Begun,
    Claims,
    IdentityProviderAway,
    Provider,
    SignInInvalid,
    read_claims,
)

KEPT_SECONDS = 3600.0
TIMEOUT_SECONDS = 5.0
LEEWAY_SECONDS = 30
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""What an ID token may be signed with: nothing that a client's secret would verify, and not `none`."""
AUTH_METHODS = ("client_secret_basic", "client_secret_post")

log = logs.get("user.oidc")


class Client:
    """Speaks to one provider; `redirect_uri` is where it sends browsers back to."""

    def __init__(self, provider: Provider, redirect_uri: str, tls: ssl.SSLContext) -> None:
        self._provider = provider
        self._redirect_uri = redirect_uri
        self._tls = tls
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._until = 0.0

    async def authorization_uri(self, begun: Begun) -> str:
        """Say where to send the browser. Raises IdentityProviderAway."""
        metadata = await self._configuration()
        return str(
            prepare_grant_uri(
                metadata["authorization_endpoint"],
                self._provider.client_id,
                "code",
                redirect_uri=self._redirect_uri,
                scope=self._provider.scopes,
                state=begun.state,
                nonce=begun.nonce,
                code_challenge=create_s256_code_challenge(begun.verifier),
                code_challenge_method="S256",
            )
        )

    async def claims(self, code: str, begun: Begun) -> Claims:
        """Trade a code for what the provider says of somebody. Raises SignInInvalid, IdentityProviderAway."""
        token = await self._token(code, begun)
        if not isinstance(token.get("id_token"), str):
            raise SignInInvalid
        said = await self._verified(token, begun)
        if "email" not in said:
            said = {**await self._user_info(token, said["sub"]), **said}
        return read_claims(said)

    async def _token(self, code: str, begun: Begun) -> dict[str, Any]:
        metadata, provider = await self._configuration(), self._provider
        accepted = metadata.get("token_endpoint_auth_methods_supported") or AUTH_METHODS
        methods = [each for each in AUTH_METHODS if each in accepted]
        method = methods[0] if provider.client_secret and methods else "none"
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=self._redirect_uri,
            code=code,
            code_verifier=begun.verifier,
        )
        headers = {"content-type": "application/x-www-form-urlencoded"}
        auth = ClientAuth(provider.client_id, provider.client_secret, method)
        uri, headers, body = auth.prepare("POST", metadata["token_endpoint"], headers, body)
        return await self._asked("POST", uri, headers=headers, content=body)

    async def _verified(self, token: dict[str, Any], begun: Begun) -> dict[str, Any]:
        """Verify an ID token (Core 1.0 §3.1.3.7). Raises SignInInvalid."""
        metadata = await self._configuration()
        try:
            try:
                decoded = self._decoded(token["id_token"], await self._key_set())
            except InvalidKeyIdError:
                self._keys = None
                decoded = self._decoded(token["id_token"], await self._key_set())
            wanted: Any = {
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": self._provider.client_id},
            }
            known = {
                "nonce": begun.nonce,
                "client_id": self._provider.client_id,
                "access_token": token.get("access_token", ""),
            }
            claims = CodeIDToken(decoded.claims, decoded.header, wanted, known)
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            log.warning("ID token refused", provider=self._provider.id, cause=type(error).__name__)
            raise SignInInvalid from None
        return dict(claims)

    @staticmethod
    def _decoded(token: str, keys: KeySet) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        return jwt.decode(token, keys, registry=registry)

    async def _user_info(self, token: dict[str, Any], subject: str) -> dict[str, Any]:
        """Ask for what is not in the ID token (Core 1.0 §5.3.2: the subject must be the same). Raises SignInInvalid."""
        uri = (await self._configuration()).get("userinfo_endpoint")
        if not uri or not token.get("access_token"):
            return {}
        headers = {"authorization": f"Bearer {token['access_token']}"}
        said = await self._asked("GET", uri, headers=headers)
        if said.get("sub") != subject:
            raise SignInInvalid
        return said

    async def _configuration(self) -> dict[str, Any]:
        if time.monotonic() < self._until:
            return self._metadata
        uri = f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = OpenIDProviderMetadata(await self._asked("GET", uri))
        try:
            metadata.validate()
        except ValueError as error:
            raise self._away("configuration") from error
        if metadata["issuer"].rstrip("/") != self._provider.issuer.rstrip("/"):
            raise self._away("issuer")
        self._metadata, self._keys = dict(metadata), None
        self._until = time.monotonic() + KEPT_SECONDS
        return self._metadata

    async def _key_set(self) -> KeySet:
        if self._keys is None:
            uri = (await self._configuration())["jwks_uri"]
            try:
                self._keys = KeySet.import_key_set(await self._asked("GET", uri))  # type: ignore[arg-type]  # checked as it is read
            except (JoseError, ValueError, KeyError) as error:
                raise self._away("keys") from error
        return self._keys

    async def _asked(self, verb: str, uri: str, **options: Any) -> dict[str, Any]:
        """Ask the provider; what it refuses is the sign-in's fault, all else the provider's."""
        try:
            async with httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT_SECONDS) as http:
                answer = await http.request(verb, uri, follow_redirects=False, **options)
            if answer.status_code in (400, 401, 403):
                raise SignInInvalid
            answer.raise_for_status()
            said = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._away(type(error).__name__) from error
        if not isinstance(said, dict):
            raise self._away("answer")
        return said

    def _away(self, cause: str) -> IdentityProviderAway:
        log.warning("identity provider away", provider=self._provider.id, cause=cause)
        return IdentityProviderAway(provider=self._provider.id)


__all__ = ["Client"]
