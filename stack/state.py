"""The state folder: all that a stack keeps lies under it, and one process at a time runs on it.

`data/` outlives everything; `secrets/` too, and is for the owner's eyes; `logs/` are bounded; `run/` is made anew.
The lock is a flock, which vanishes with its holder: a pid in `run/status.json` whose lock is free is stale.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from stack.errors import StackError


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """How a process does: `state` is waiting, starting, ready, restarting, failed or stopped."""

    name: str
    state: str
    pid: int
    restarts: int
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class StackStatus:
    """How a stack does: `state` is starting, ready, failed or stopping. `listen` and `advertise` are as `up` was told."""

    pid: int
    state: str
    url: str
    processes: tuple[ProcessStatus, ...]
    listen: str = "127.0.0.1"
    advertise: tuple[str, ...] = ("127.0.0.1",)


def default_root(repository: Path) -> Path:
    """Choose where state lies when nobody says: `.state` in the repository.

    As root, in a repository that only root may enter (/root, say), a folder under /var/lib named for it.
    """
    if os.geteuid() == 0 and not open_to_all(repository):
        digest = hashlib.sha256(str(repository).encode()).hexdigest()[:8]
        return Path("/var/lib") / f"parley-{digest}"
    return repository / ".state"


def open_to_all(folder: Path) -> bool:
    """Tell whether every user may enter a folder and all above it."""
    return all(above.stat().st_mode & 0o001 for above in (folder, *folder.parents))


class State:
    """The folder of one stack."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.data = self.root / "data"
        self.logs = self.root / "logs"
        self.secrets = self.root / "secrets"
        self.run = self.root / "run"
        self.cache = self.root / "cache"
        self.manifests = self.root / "models"
        self.library = self.data / "library"
        self.outbox = self.root / "outbox"
        self.settings = self.root / "parley.toml"

    def create(self) -> None:
        """Make the folders. Raises StackError when the disk or the permissions do not allow it."""
        try:
            for folder in (self.root, self.data, self.logs, self.run, self.cache):
                folder.mkdir(parents=True, exist_ok=True)
            self.secrets.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                for folder in (self.root, self.data, self.run):
                    folder.chmod(0o755)
        except OSError as error:
            raise StackError(
                f"{self.root} can't be used: {error.strerror}. Choose another folder with --state."
            ) from None
        if os.geteuid() == 0 and not open_to_all(self.root.parent):
            raise StackError(
                f"As root, Postgres and Nginx run as nobody, who can't enter {self.root.parent}. "
                "Choose another folder with --state, or run as an ordinary user."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack's lock. Raises StackError when another process holds it."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                status = self.read_status()
                pid = f" (pid {status.pid})" if status else ""
                raise StackError(
                    f"A stack is running on {self.root} already{pid}. See ./parley status; stop it with ./parley down."
                ) from None
            yield
        finally:
            os.close(descriptor)

    def is_running(self) -> bool:
        """Tell whether a process holds the lock."""
        try:
            descriptor = os.open(self.run / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write_status(self, status: StackStatus) -> None:
        """Put the status where other commands read it, whole or not at all."""
        draft = self.run / "status.json.new"
        draft.write_text(json.dumps(asdict(status)))
        draft.replace(self.run / "status.json")

    def read_status(self) -> StackStatus | None:
        """Read the last status; None when there is none."""
        try:
            values = json.loads((self.run / "status.json").read_text())
            processes = tuple(ProcessStatus(**process) for process in values.pop("processes"))
            advertise = tuple(values.pop("advertise", ("127.0.0.1",)))
            return StackStatus(**values, processes=processes, advertise=advertise)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def log(self, name: str) -> Path:
        """Get the path of a process's log."""
        return self.logs / f"{name}.log"


__all__ = ["ProcessStatus", "StackStatus", "State", "default_root"]
