"""People look after their accounts in a real browser, admins after others', and guests come without one."""

from __future__ import annotations

import asyncio
import email
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from email import policy

import pyotp
import pytest
from playwright.async_api import Browser, Locator, expect

from loadtest.browser import ALLOW_DEVICES, PASSWORD, Person, chromium, person
from tests.running_stack import RunningStack, eventually, parley

NEW_PASSWORD = "another horse"
BAN = re.compile("^Ban: ")
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone beeps."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


async def open_account(who: Person) -> str:
    """Open somebody's own page; returns their e-mail address."""
    await who.button("Account").click()
    return await who.page.get_by_label("E-mail").input_value()


def card(who: Person, name: str) -> Locator:
    """Find a part of the page by its name."""
    return who.page.get_by_role("region", name=name, exact=True)


async def submit(form: Locator, action: str, **values: str) -> None:
    """Fill in a form, by its labels with `_` for blanks, and send it."""
    for label, value in values.items():
        await form.get_by_label(label.replace("_", " ")).fill(value)
    await form.get_by_role("button", name=action, exact=True).click()


async def sign_in(who: Person, address: str, password: str = PASSWORD) -> None:
    """Fill in the first page."""
    await who.page.goto(who.address)
    await who.page.get_by_label("Username or e-mail").fill(address)
    await who.page.get_by_label("Password").fill(password)
    await who.button("Sign in").click()


async def is_home(who: Person) -> None:
    """See that somebody is signed in, on the first page."""
    await expect(who.page.get_by_role("heading", name="Hello, ")).to_be_visible()


async def is_signed_out(who: Person) -> None:
    """See that the page asks to sign in."""
    await expect(who.page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_second_factor_is_asked_for_and_a_session_elsewhere_can_be_ended(
    browser: Browser, stack: RunningStack
) -> None:
    async with AsyncExitStack() as seats:
        ann = await seats.enter_async_context(person(browser, "Ann", stack.http))
        phone = await seats.enter_async_context(person(browser, "Ann", stack.http))
        await ann.sign_up()
        address = await open_account(ann)
        factor = card(ann, "Two-factor sign-in")
        await submit(factor, "Set up or change", Password="not the password")
        await expect(factor.get_by_role("alert")).to_contain_text("password is wrong")
        await submit(factor, "Set up or change", Password=PASSWORD)
        app = pyotp.TOTP(await factor.get_by_role("group", name="Secret").inner_text())
        await submit(factor, "Turn on", Code_from_the_app=app.now())
        codes = (await factor.get_by_role("group", name="Recovery codes").inner_text()).splitlines()
        assert len(set(codes)) == 10
        await factor.get_by_role("button", name="I have kept them").click()

        await ann.button("Sign out").click()
        await sign_in(ann, address)
        await submit(ann.page.locator("main"), "Sign in", Code_from_the_app="wrong one")
        await expect(ann.page.get_by_role("alert")).to_contain_text("The code is wrong")
        coming = app.at(time.time() + app.interval)  # each code works once, and the last one did
        await submit(ann.page.locator("main"), "Sign in", Code_from_the_app=coming)
        await is_home(ann)
        await sign_in(phone, address)
        await submit(phone.page.locator("main"), "Sign in", Code_from_the_app=codes[0])
        await is_home(phone)

        await open_account(ann)
        sessions = card(ann, "Where you are signed in")
        await expect(sessions.get_by_role("listitem")).to_have_count(2)
        await sessions.get_by_role("button", name="Sign out: ").click()
        await expect(sessions.get_by_role("listitem")).to_have_count(1)
        await phone.page.reload()
        await is_signed_out(phone)
        await ann.page.reload()
        await expect(card(ann, "Profile")).to_be_visible()


async def test_a_forgotten_password_is_set_anew_by_the_link_in_the_mail(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Ann", stack.http) as ann:
        await ann.sign_up()
        address = await open_account(ann)
        await ann.button("Sign out").click()
        await ann.button("Forgot your password?").click()
        await submit(ann.page.locator("main"), "Send link", **{"E-mail": address})
        await expect(ann.page.get_by_role("status")).to_contain_text("a link is on its way")
        link = await asyncio.to_thread(link_of_mail, stack, address)
        await ann.page.goto(link)
        await submit(ann.page.locator("main"), "Set password", New_password=NEW_PASSWORD)
        await expect(ann.page.get_by_role("status")).to_contain_text("The password is set")
        await ann.page.goto("about:blank")
        await ann.page.goto(link)
        await submit(ann.page.locator("main"), "Set password", New_password=NEW_PASSWORD)
        await expect(ann.page.get_by_role("alert")).to_contain_text("was used before")
        await sign_in(ann, address, NEW_PASSWORD)
        await is_home(ann)


def link_of_mail(stack: RunningStack, address: str) -> str:
    """Wait for somebody's mail, and read the link in it."""
    found: list[str] = []

    def has_come() -> bool:
        for path in (stack.state / "outbox").glob("*.eml"):
            mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
            if mail["To"] == address:
                lines = mail.get_content().splitlines()
                found.append(next(line for line in lines if line.startswith(stack.http)))
        return bool(found)

    eventually(has_come, "the mail is in the outbox")
    return found[0]


async def test_an_admin_bans_somebody_and_lifts_the_ban(
    browser: Browser, stack: RunningStack
) -> None:
    async with AsyncExitStack() as seats:
        root, bob = [
            await seats.enter_async_context(person(browser, name, stack.http))
            for name in ("Root", "Bob")
        ]
        for each in (root, bob):
            await each.sign_up()
        await expect(root.button("Administration")).to_have_count(0)
        admin, banned = await open_account(root), await open_account(bob)
        done = await asyncio.to_thread(parley, "admin", admin, "--state", str(stack.state))
        assert done.returncode == 0, done.stderr
        await root.button("Sign out").click()
        await sign_in(root, admin)
        await root.button("Administration").click()
        users = card(root, "Users")
        await submit(users, "Find", Part_of_a_name_or_address=banned)
        await expect(users.get_by_role("listitem")).to_have_count(1)
        await users.get_by_role("button", name=BAN).click()
        await submit(root.page.get_by_role("dialog"), "Ban", Reason="spam")
        await expect(users.get_by_role("listitem")).to_contain_text("banned: spam")
        await bob.page.reload()
        await is_signed_out(bob)
        await sign_in(bob, banned)
        await expect(bob.page.get_by_role("alert")).to_contain_text("This account is banned")
        await users.get_by_role("button", name="Lift ban: ").click()
        await expect(users.get_by_role("button", name=BAN)).to_be_visible()
        await sign_in(bob, banned)
        await is_home(bob)
        await root.button("Audit log").click()
        rows = card(root, "Audit log").get_by_role("row")
        await expect(rows.filter(has_text="user.ban").first).to_contain_text("spam")


async def test_a_guest_comes_by_the_link_where_the_host_lets_guests_in(
    browser: Browser, stack: RunningStack
) -> None:
    async with AsyncExitStack() as seats:
        ann, gus = [
            await seats.enter_async_context(person(browser, name, stack.http))
            for name in ("Ann", "Gus")
        ]
        await ann.sign_up()
        await ann.page.get_by_label("What is it about?").fill("Open house")
        await ann.button("Start").click()
        await ann.mirror().wait_for()
        guest = gus.page.locator("form", has=gus.page.get_by_label("Your name"))
        await gus.page.goto(ann.page.url)
        await submit(guest, "Continue as a guest", Your_name="Gus")
        await expect(guest.get_by_role("alert")).to_contain_text("with an account alone")
        await ann.button("Settings").click()
        dialog = ann.page.get_by_role("dialog")
        await dialog.get_by_label("Let guests in").check()
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("status")).to_have_text("Saved")
        await dialog.get_by_role("button", name="Close").click()
        await ann.go_in()
        await submit(guest, "Continue as a guest", Your_name="Gus")
        await gus.go_in()
        await asyncio.gather(ann.receives_more(), gus.receives_more())
        await expect(ann.tile(gus)).to_be_visible()
