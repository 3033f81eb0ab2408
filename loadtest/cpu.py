"""The CPU time that processes have used, exactly: their CPU-time clocks (clock_getcpuclockid(3)) count nanoseconds."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence

import psutil

Families = Mapping[str, Sequence[int]]
"""Ids of processes by what they are; each stands for its children as well."""

Reading = Mapping[str, Mapping[int, float]]
"""CPU seconds of each process, by family and by process id."""

_libc = ctypes.CDLL(None)


def read(families: Families) -> Reading:
    """Read how long each process has run so far, its ended threads included. Raises psutil.NoSuchProcess."""
    return {
        name: {
            member.pid: seconds
            for pid in pids
            for member in _family(pid)
            if (seconds := _seconds(member.pid)) is not None
        }
        for name, pids in families.items()
    }


def spent(before: Reading, after: Reading) -> dict[str, float]:
    """Give the CPU seconds of each family between two readings; of children that have ended meanwhile nothing is known."""
    return {
        name: sum(seconds - before[name].get(pid, 0.0) for pid, seconds in members.items())
        for name, members in after.items()
    }


def machine() -> float:
    """Read the CPU seconds that all cores have been busy since the machine started; in steps of 10 ms."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _seconds(pid: int) -> float | None:
    """Read a process's CPU-time clock; None when the process has ended."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        return None
    try:
        return time.clock_gettime(clock.value)
    except OSError:
        return None


__all__ = ["Families", "Reading", "machine", "read", "spent"]
