"""`python -m loadtest.media`: fills rooms with light clients; `--help` says what the exit status means."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from loadtest.media.arguments import parse
from loadtest.media.program import RunFailed, execute


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program. Returns the exit status; wrong usage exits with 2."""
    options = parse(arguments)
    try:
        return execute(options)
    except (RunFailed, OSError) as error:
        print(f"loadtest.media: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
