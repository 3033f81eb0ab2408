"""`python -m loadtest.client`: the exit status is 0 when no case failed, 1 when one did, and 2 when nothing was tried.

Nothing is tried after wrong usage, where nobody answers, and where a package is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from loadtest.client.arguments import parse

OUR_OWN = frozenset({"parley", "buf"})
"""Made from the contracts; they lie in gen/."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program. Returns the exit status; wrong usage exits with 2."""
    options = parse(arguments)
    try:
        from loadtest.client.command import CommandError, execute  # noqa: PLC0415  # its packages may be missing
    except ModuleNotFoundError as missing:
        return _complain(_advice((missing.name or "").partition(".")[0]))
    try:
        return execute(options)
    except CommandError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130


def _advice(package: str) -> str:
    """Say how to get a package that is missing."""
    if package in OUR_OWN:
        return f"the stubs ({package}) are missing: put the repository's gen/ on PYTHONPATH."
    how = f"`.venv/bin/python -m loadtest.client` has it; elsewhere `pip install {package}`"
    return f"the package {package} is missing: {how}."


def _complain(text: str) -> int:
    print(f"client: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
