"""Whether the ports that a stack wants are free, before anything is started."""

from __future__ import annotations

import errno
import socket

from stack.errors import StackError
from stack.topology import Topology

LOOPBACK = "127.0.0.1"


def check_free(layout: Topology, listen: str = LOOPBACK, media_listen: str = LOOPBACK) -> None:
    """Raise StackError naming the first port that can't be had and who wants it.

    Nginx listens on `listen`, media on `media_listen`, over UDP and TCP; all others on loopback.
    """
    for process in (*layout.processes, *layout.spares):
        for purpose, port in process.ports.items():
            is_udp = purpose in process.udp
            host = media_listen if is_udp else listen if process.name == "nginx" else LOOPBACK
            for kind in (
                (socket.SOCK_DGRAM, socket.SOCK_STREAM) if is_udp else (socket.SOCK_STREAM,)
            ):
                if (problem := _problem(host, port, kind)) is not None:
                    raise StackError(_said(problem, host, port, f"{process.name} ({purpose})"))


def _problem(host: str, port: int, kind: socket.SocketKind) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _said(problem: OSError, host: str, port: int, who: str) -> str:
    if problem.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken and {who} needs it. "
            "Stop whoever has it, or move all ports with --port-offset N."
        )
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {host}. Choose one of its own with --listen."
    return f"{who} can't have port {port} on {host}: {problem.strerror}."


__all__ = ["check_free"]
