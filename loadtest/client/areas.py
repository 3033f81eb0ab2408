"""The areas that cases belong to."""

from __future__ import annotations

AREAS = {
    "gateway": "health, unknown routes, security headers",
    "user": "accounts, sign-in, profile, keys",
    "meeting": "from its making to its end",
    "signaling": "a conversation over the WebSocket",
    "media": "upload, list, download (whole and by Range), delete",
    "ai": "models, speech, faces",
    "grpc": "a call by gRPC and one by gRPC-Web",
    "timing": "percentiles one after the other, requests/s at once",
    "limits": "a burst of at most 2,000 sign-ins until a 429 comes",
}
"""What each is about, in the order in which they run: limits last, since what comes after would be refused."""

__all__ = ["AREAS"]
