"""Ann and Bob, each in a browser context of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from playwright.async_api import Browser

from loadtest.browser import Person, person


@asynccontextmanager
async def two_people(browser: Browser, url: str) -> AsyncIterator[tuple[Person, Person]]:
    """Have both sign up."""
    async with AsyncExitStack() as seats:
        ann, bob = [
            await seats.enter_async_context(person(browser, name, url)) for name in ("Ann", "Bob")
        ]
        for each in (ann, bob):
            await each.sign_up()
        yield ann, bob


__all__ = ["two_people"]
