"""NodeService: any worker tells of all, and passes on the call to drain another."""

from __future__ import annotations

from typing import Any

import grpc
from parley.media.v1 import node_pb2, node_pb2_grpc

from chassis import paging
from chassis.channels import relayed
from chassis.errors import Unavailable
from services.media.domain import LastNode, NodeNotFound
from services.media.drain import Drain
from services.media.peers import FORWARDED_METADATA, Workers
from services.media.placement import Node, Placement

DEFAULT_PAGE_SIZE = 20
CREDENTIALS_METADATA = "authorization"


class NodeServicer(node_pb2_grpc.NodeServiceServicer):
    """The media nodes, for admins."""

    def __init__(self, placement: Placement, drain: Drain, workers: Workers) -> None:
        self._placement = placement
        self._drain = drain
        self._workers = workers

    async def ListNodes(
        self, request: node_pb2.ListNodesRequest, context: Any
    ) -> node_pb2.ListNodesResponse:
        """List the media nodes that are alive, by name."""
        after = paging.decode(request.page_token)
        if len(after) > 1:
            raise paging.PageTokenInvalid
        size = request.page_size or DEFAULT_PAGE_SIZE
        nodes = [node for node in await self._placement.nodes() if (node.id,) > after]
        token = paging.encode((nodes[size - 1].id,)) if len(nodes) > size else ""
        return node_pb2.ListNodesResponse(
            nodes=[_proto(node) for node in nodes[:size]], next_page_token=token
        )

    async def DrainNode(self, request: node_pb2.DrainNodeRequest, context: Any) -> node_pb2.Node:
        """Give a node no new rooms and hand those that it has over to others."""
        nodes = {node.id: node for node in await self._placement.nodes()}
        identifier = request.name.removeprefix("nodes/")
        if (node := nodes.get(identifier)) is None:
            raise NodeNotFound(node=request.name)
        if not node.draining and all(n.draining for n in nodes.values() if n is not node):
            raise LastNode(node=request.name)
        if identifier != self._placement.node_id:
            return await self._passed_on(node, request, context)
        self._drain.empty_soon()
        answer = _proto(node)
        answer.state = node_pb2.NODE_STATE_DRAINING
        return answer

    async def _passed_on(
        self, node: Node, request: node_pb2.DrainNodeRequest, context: Any
    ) -> node_pb2.Node:
        """Have another worker do it, in the admin's name. Raises what it answers."""
        metadata = context.invocation_metadata() or ()
        if any(key == FORWARDED_METADATA for key, _ in metadata):
            raise Unavailable(text="The node has just been replaced: try again.")
        credentials = [(key, value) for key, value in metadata if key == CREDENTIALS_METADATA]
        stub = await self._workers.nodes(node.address)
        try:
            return await stub.DrainNode(
                request, metadata=(*credentials, (FORWARDED_METADATA, self._placement.node_id))
            )
        except grpc.aio.AioRpcError as error:
            raise relayed(error) from None


def _proto(node: Node) -> node_pb2.Node:
    state = node_pb2.NODE_STATE_DRAINING if node.draining else node_pb2.NODE_STATE_ACTIVE
    answer = node_pb2.Node(
        name=f"nodes/{node.id}",
        state=state,
        room_count=node.rooms,
        peer_count=node.peers,
        stress=node.stress,
    )
    answer.start_time.FromDatetime(node.start_time)
    return answer
