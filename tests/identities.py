"""Keys and trust for services that tests start, as the stack makes them; and calls in the services' names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chassis import channels
from chassis.auth import SERVICE_TOKEN_METADATA, ServiceIdentity, Trust
from stack.rest import described, methods

SERVICES = ("user", "meeting", "signaling", "media", "ai")


def make_identities(folder: Path) -> Path:
    """Write `<service>.key` for each service and `trust.jwks` with all their public keys; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    public = []
    for service in SERVICES:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{service}.key").write_bytes(pem)
        jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        public.append({**jwk, "kid": service, "alg": "EdDSA", "use": "sig"})
    (folder / "trust.jwks").write_text(json.dumps({"keys": public}))
    return folder


def identity_in(folder: Path, service: str) -> ServiceIdentity:
    """Read a service's identity from the folder that has its key, and the trust."""
    key = load_pem_private_key((folder / f"{service}.key").read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return ServiceIdentity(service, key, Trust.load(folder / "trust.jwks"))


@cache
def callers() -> dict[str, frozenset[str]]:
    """List which services may call each method, by `/package.Service/Method`: none what is not internal."""
    return {method.path: method.callers for method in methods(described())}


@asynccontextmanager
async def as_callers(address: str, folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel on which every internal method is called by one of the services that may."""
    identities = {service: identity_in(folder, service) for service in SERVICES}

    def signed(details: Any) -> Any:
        may_call = callers()[details.method.decode()]
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if may_call:
            metadata[SERVICE_TOKEN_METADATA] = identities[min(may_call)].service_token()
        return details._replace(metadata=metadata)

    interceptors = (_UnaryUnary(signed), _UnaryStream(signed), _StreamStream(signed))
    async with grpc.aio.insecure_channel(address, channels.OPTIONS, None, interceptors) as channel:
        yield channel


class _Signing:
    def __init__(self, sign: Callable[[Any], Any]) -> None:
        self._sign = sign


class _UnaryUnary(_Signing, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._sign(client_call_details), request)


class _UnaryStream(_Signing, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._sign(client_call_details), request)


class _StreamStream(_Signing, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._sign(client_call_details), request_iterator)
