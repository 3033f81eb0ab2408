"""How `./parley reload` and `restart` talk to the stack that runs: a socket in its run folder that its owner alone may open.

One request a connection, a line of JSON: `{"command": …, "names": […]}`. What happens comes back as lines `{"told": …}`
and ends with `{"error": …}`, empty when all went well.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from stack.errors import StackError

LINE_LIMIT = 64 * 1024
ANSWER_SECONDS = 600.0

Tell = Callable[[str], None]
Command = Callable[[Sequence[str], Tell], Awaitable[None]]


@asynccontextmanager
async def serving(folder: Path, commands: Mapping[str, Command]) -> AsyncIterator[None]:
    """Take commands, one at a time, until the block ends."""
    alone = asyncio.Lock()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(**what: str) -> None:
            writer.write(json.dumps(what).encode() + b"\n")

        try:
            command, names = _read(await reader.readline(), commands)
            async with alone:
                await command(names, lambda text: say(told=text))
            say(error="")
        except StackError as error:
            say(error=str(error))
        except Exception as error:
            say(error=f"It failed: {type(error).__name__}. See the log of the stack.")
            raise
        finally:
            writer.close()

    with _near(folder) as path:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(answer, path, limit=LINE_LIMIT)
        finally:
            os.umask(before)
    try:
        yield
    finally:
        server.close()
        (folder / "control").unlink(missing_ok=True)


def ask(folder: Path, command: str, names: Sequence[str], tell: Tell) -> None:
    """Give a command to the stack of a run folder, and wait until it is done. Raises StackError."""
    with _near(folder) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
        except OSError:
            raise StackError(
                "The stack does not take commands now: is it starting or stopping?"
            ) from None
        connection.sendall(json.dumps({"command": command, "names": list(names)}).encode() + b"\n")
        for line in connection.makefile():
            said = json.loads(line)
            if "told" in said:
                tell(said["told"])
            elif said["error"]:
                raise StackError(said["error"])
            else:
                return
    raise StackError("The stack stopped before it was done.")


def _read(line: bytes, commands: Mapping[str, Command]) -> tuple[Command, Sequence[str]]:
    try:
        request = json.loads(line)
        return commands[request["command"]], [str(name) for name in request["names"]]
    except (ValueError, KeyError, TypeError):
        raise StackError("This command is not one that a stack takes.") from None


@contextmanager
def _near(folder: Path) -> Iterator[Path]:
    """Name the socket by a path that is short enough for one (unix(7) allows 108 bytes), however deep the folder lies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        short = Path(f"/proc/self/fd/{descriptor}")
        yield (short if short.exists() else folder) / "control"
    finally:
        os.close(descriptor)


__all__ = ["Command", "Tell", "ask", "serving"]
