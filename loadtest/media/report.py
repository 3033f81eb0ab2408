"""A run's figures as text, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(result: Mapping[str, Any]) -> str:
    """Lay out what `Result.plain` tells."""
    figures = result["figures"]
    rows = [
        (
            "joined",
            f"{figures['joined']}, {result['joins_per_second']:.1f} a second; {figures['failed']} failed",
        ),
        ("join", _times(figures["join_ms"])),
        ("join to first packet", _times(figures["first_packet_ms"])),
        ("sent", f"{figures['sent']:,} packets, {figures['keyframes']:,} keyframes"),
        (
            "received",
            f"{figures['received']:,} packets of {figures['tracks']:,} tracks, {figures['silent']:,} of them silent",
        ),
        (
            "rate",
            f"{result['packets_per_second']:,.0f} packets/s, {result['bits_per_second'] / 1e6:,.1f} Mbit/s",
        ),
        (
            "loss",
            f"{_share(figures['loss_before'])} at first, {_share(figures['loss_after'])} for good",
        ),
        ("one-way latency", _times(figures["latency_ms"])),
        (
            "checked",
            f"{figures['verified']:,} packets, {figures['corrupt']:,} corrupt",
        ),
        (
            "order",
            f"{figures['duplicates']:,} duplicates, {figures['late']:,} out of order",
        ),
        (
            "layers",
            f"{figures['switches']:,} switches, {figures['thinned']:,} packets left out by the server",
        ),
        (
            "the generator",
            f"event loop {figures['lag_ms']['p99']:.1f} ms late at p99, senders {figures['lateness_ms']['p99']:.1f} ms",
        ),
    ]
    lines = [f"{name:22}{value}" for name, value in rows]
    lines += [f"! {complaint}" for complaint in result["complaints"]]
    lines += [f"VOID: {reason}" for reason in result["void"]]
    return "\n".join(lines)


def _times(quantiles: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} ms" for name, value in quantiles.items())


def _share(value: float) -> str:
    return f"{100 * value:.3f} %"


__all__ = ["text"]
