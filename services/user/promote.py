"""`python -m services.user.promote ADDRESS`: the operator makes the account with an e-mail address admin.

That is how the first admin comes to be: there is no default account. It needs PARLEY_DATABASE_URL alone, and a user
service that has run once; `./parley admin` calls it with the stack's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import OperationalError

from chassis import db
from chassis.errors import DomainError
from services.user.accounts.rules import give
from services.user.accounts.store import AccountStore
from services.user.audit import did
from services.user.domain import Role, UserNotFound
from services.user.store import Store

MIGRATIONS = Path(__file__).parent / "migrations"
OPERATOR = "services/user"
"""The actor in the audit log: who sits at the server's database is nobody's account."""


async def promote(url: str, email: str) -> str:
    """Make the account with an address admin; gives its username. Raises UserNotFound, Unavailable."""
    async with db.connected(url, MIGRATIONS) as database:
        found = await Store(database).credentials(email)
        if found is None or found[0].email != email.lower():
            raise UserNotFound(text=f"There is no account with the address {email}: sign up first.")
        user, now = found[0], datetime.now(UTC)
        details = {"role": Role.ADMIN.value, "by": "operator"}
        event = did(OPERATOR, "user.set_role", f"users/{user.id}", now, details)
        await AccountStore(database).change(user.id, give(Role.ADMIN, now), event)
        return user.username


def main(arguments: list[str]) -> int:
    """Run the command. Returns the exit status."""
    url = os.environ.get("PARLEY_DATABASE_URL", "")
    if len(arguments) != 1 or not url:
        print(
            "usage: PARLEY_DATABASE_URL=… python -m services.user.promote ADDRESS", file=sys.stderr
        )
        return 2
    try:
        username = asyncio.run(promote(url, arguments[0]))
    except DomainError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1
    except OperationalError:
        print("parley: the database can't be reached.", file=sys.stderr)
        return 1
    print(f"{username} is admin; their tokens say so after the next sign-in or refresh.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
