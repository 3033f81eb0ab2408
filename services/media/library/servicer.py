"""LibraryService: proto to domain and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from parley.media.v1 import library_pb2, library_pb2_grpc

from chassis import paging
from chassis.auth import user_principal
from services.media.library.domain import FileNameMissing, Media, MediaNotFound, disposition
from services.media.library.sharing import Sharing
from services.media.library.uploads import Library

PAGE_SIZE = 20
OFFLOAD_METADATA = "x-parley-offload"
"""Envoy's word that Nginx stands ready to serve the bytes; from outside it can't be said."""


class LibraryServicer(library_pb2_grpc.LibraryServiceServicer):
    """People's files: each reads their own, and those that are shared with them."""

    def __init__(self, library: Library, sharing: Sharing) -> None:
        self._library = library
        self._sharing = sharing

    async def UploadMedia(
        self, request: AsyncIterator[library_pb2.UploadMediaRequest], context: Any
    ) -> library_pb2.Media:
        """Take a file in."""
        first = await anext(aiter(request), None)
        if first is None or not first.name:
            raise FileNameMissing
        request_id = UUID(first.request_id) if first.request_id else None
        pieces = _pieces(first, request)
        media = await self._library.add(_caller(), first.name, pieces, request_id)
        return to_proto(media)

    async def ListMedia(
        self, request: library_pb2.ListMediaRequest, context: Any
    ) -> library_pb2.ListMediaResponse:
        """List the caller's files."""
        size = request.page_size or PAGE_SIZE
        found = await self._library.store.page(
            _caller(), size + 1, paging.moment_and_id(request.page_token)
        )
        shown = found[:size]
        token = ""
        if len(found) > size:
            token = paging.encode((shown[-1].create_time.isoformat(), str(shown[-1].id)))
        return library_pb2.ListMediaResponse(media=map(to_proto, shown), next_page_token=token)

    async def GetMedia(
        self, request: library_pb2.GetMediaRequest, context: Any
    ) -> library_pb2.Media:
        """Describe a file."""
        return to_proto(await self._media(request.name))

    async def DownloadMedia(
        self, request: library_pb2.DownloadMediaRequest, context: Any
    ) -> AsyncIterator[HttpBody]:
        """Give a file's bytes, or leave that to Nginx."""
        media = await self._media(request.name)
        if any(key == OFFLOAD_METADATA for key, _ in context.invocation_metadata() or ()):
            await context.send_initial_metadata(await self._offloaded(media))
            yield HttpBody(content_type=media.content_type)
            return
        async for piece in self._library.objects.get(str(media.id)):
            yield HttpBody(content_type=media.content_type, data=piece)

    async def DeleteMedia(
        self, request: library_pb2.DeleteMediaRequest, context: Any
    ) -> library_pb2.DeleteMediaResponse:
        """Delete a file of the caller's."""
        await self._library.remove(_id(request.name), _caller())
        return library_pb2.DeleteMediaResponse()

    async def _media(self, name: str) -> Media:
        """Read a file that is the caller's, or shared with the caller. Raises MediaNotFound."""
        media, caller = await self._library.store.get(_id(name)), _caller()
        if media.owner_id != caller and not await self._sharing.is_shared(media, caller):
            raise MediaNotFound
        return media

    async def _offloaded(self, media: Media) -> tuple[tuple[str, str], ...]:
        """Tell Nginx where the bytes are and under what name they are saved (nginx/site.conf)."""
        saved = ("content-disposition", disposition(media.display_name))
        if self._library.objects.is_folder:
            return (("x-accel-redirect", f"/_media/file/{media.id}"), saved)
        source = await self._library.objects.signed(str(media.id))
        return (("x-accel-redirect", "/_media/s3"), ("x-parley-source", source), saved)


def to_proto(media: Media) -> library_pb2.Media:
    """Show a file."""
    shown = library_pb2.Media(
        name=media.name,
        display_name=media.display_name,
        content_type=media.content_type,
        size_bytes=media.size_bytes,
        sha256=media.sha256,
        owner=f"users/{media.owner_id}",
    )
    shown.create_time.FromDatetime(media.create_time)
    return shown


async def _pieces(
    first: library_pb2.UploadMediaRequest, rest: AsyncIterator[library_pb2.UploadMediaRequest]
) -> AsyncIterator[bytes]:
    if first.body.data:
        yield first.body.data
    async for request in rest:
        if request.body.data:
            yield request.body.data


def _caller() -> UUID:
    return UUID(user_principal().user_id)


def _id(name: str) -> UUID:
    try:
        return UUID(name.removeprefix("media/"))
    except ValueError:
        raise MediaNotFound from None


__all__ = ["LibraryServicer", "to_proto"]
