from __future__ import annotations

import re
from pathlib import Path

import pytest

from stack import envoy
from stack.settings import Limits
from stack.topology import MAX_MEDIA_WORKERS, SERVICES, SIDE_BY_SIDE, Topology, topology

ROOT = Path(__file__).resolve().parents[2]


def all_ports(layout: Topology) -> list[int]:
    every = (*layout.processes, *layout.spares)
    return [port for process in every for port in process.ports.values()]


def test_no_two_processes_want_the_same_port() -> None:
    ports = all_ports(topology(media_workers=8, replicas=dict.fromkeys(SERVICES, 8)))
    assert len(ports) == len(set(ports))


def test_the_offset_moves_every_port_alike() -> None:
    assert all_ports(topology(1000)) == [port + 1000 for port in all_ports(topology())]


def test_an_offset_that_leaves_the_range_of_ports_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="--port-offset 60000"):
        topology(60_000)


def test_a_process_needs_only_what_comes_before_it() -> None:
    begun: set[str] = set()
    for process in topology(media_workers=2).processes:
        assert set(process.needs) <= begun
        begun.add(process.name)


@pytest.mark.parametrize("folder", ["envoy", "nginx"])
def test_the_proxies_templates_name_no_port(folder: str) -> None:
    for template in (ROOT / folder).iterdir():
        found = re.findall(r"(?:port_value: |127\.0\.0\.1:|listen )(\d+)", template.read_text())
        assert not found, template


def test_envoy_listens_and_connects_where_the_table_says() -> None:
    layout = topology(offset=100, media_workers=2)
    used = re.findall(r"port_value: (\d+)", envoy.configured(layout, Path("/logs"), Limits()))
    assert set(map(int, used)) == {
        *layout["envoy"].ports.values(),
        *(seat.ports["grpc"] for service in SERVICES for seat in layout.seats(service)),
        *(seat.ports["websocket"] for seat in layout.seats("signaling")),
    }


def test_stacks_side_by_side_share_no_port_whichever_seats_they_use() -> None:
    used: set[int] = set()
    for count in range(1, MAX_MEDIA_WORKERS + 1):
        replicas = {name: min(count, 3) for name in SERVICES if name != "media"}
        layout = topology(0, media_workers=count, replicas=replicas)
        used |= {port for p in (*layout.processes, *layout.spares) for port in p.ports.values()}
    for apart in range(1, 35):
        assert not used & {port + apart * SIDE_BY_SIDE for port in used}
