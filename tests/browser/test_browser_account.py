"""People look after their accounts in a real browser, admins after others', and guests come without one."""

from __future__ import annotations

import asyncio
import email
import io
import re
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from email import policy
from urllib.parse import urlsplit
from zipfile import ZipFile

import pyotp
import pytest
import zxingcpp
from PIL import Image
from playwright.async_api import Browser, FilePayload, Locator, expect

from loadtest.browser import ALLOW_DEVICES, PASSWORD, Person, chromium, person
from stack.state import State
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, provider_running
from tests.running_stack import RunningStack, eventually, free_offset, parley, stack_running
from tests.servers import open_folder

PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ZOES_ADDRESS = "zoe@acme.example"
ZOE = {"email": ZOES_ADDRESS, "email_verified": True, "name": "Zoë"}
NEW_PASSWORD = "another horse"
BAN = re.compile("^Ban: ")
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium whose microphone beeps."""
    async with chromium(ALLOW_DEVICES) as running:
        yield running


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningStack]:
    """A stack where e-mail addresses are proven first, and that people may sign in to by a provider."""
    way_back = "http://localhost/signed-in/acme"
    with open_folder() as folder, provider_running({"zoe": ZOE}, way_back) as provider:
        state = State(folder)
        state.create()
        state.settings.write_text(
            f"""
[accounts]
verify_email = true

[identity_providers.acme]
issuer = "{provider.issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
display_name = "Acme"
"""
        )
        with stack_running(folder, free_offset(), media_workers=1) as running:
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
        seen = await factor.get_by_role("img", name="QR code").screenshot()
        (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(seen)))
        assert pyotp.parse_uri(code.text).secret == app.secret
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


async def test_who_signs_up_proves_their_address_by_the_link_in_the_mail(
    browser: Browser, strict: RunningStack
) -> None:
    async with person(browser, "Vera", strict.http) as vera:
        await vera.page.goto(vera.address)
        await vera.button("Create account").click()
        form = vera.page.locator("form")
        address = "vera@example.org"
        values = {"E-mail": address, "Your name": "Vera"}
        await submit(form, "Create account", Username="vera", Password=PASSWORD, **values)
        await expect(vera.page.get_by_role("status")).to_contain_text("proves your address")
        await sign_in(vera, address)
        await expect(vera.page.get_by_role("alert")).to_contain_text("is to be proven first")
        link = await asyncio.to_thread(link_of_mail, strict, address)
        await vera.page.goto(link)
        await expect(vera.page.get_by_role("status")).to_contain_text("is proven")
        assert urlsplit(vera.page.url).fragment == ""
        await vera.page.goto("about:blank")
        await vera.page.goto(link)
        await expect(vera.page.get_by_role("alert")).to_contain_text("was used before")
        await sign_in(vera, address)
        await is_home(vera)


async def test_a_provider_signs_people_in_where_they_wanted_to_go(
    browser: Browser, strict: RunningStack
) -> None:
    async with person(browser, "Zoë", strict.http) as zoe:
        await zoe.page.goto(f"{zoe.address}/account")
        await zoe.button("Continue with Acme").click()
        await expect(card(zoe, "Profile").get_by_label("E-mail")).to_have_value(ZOES_ADDRESS)
        assert urlsplit(zoe.page.url).path == "/account"
        await zoe.button("Sign out").click()
        await zoe.page.goto(f"{zoe.address}/signed-in/acme?code=another's&state=another's")
        await expect(zoe.page.get_by_role("alert")).to_contain_text("was not begun in this tab")


async def test_one_looks_after_what_is_kept_and_takes_it_along(
    browser: Browser, stack: RunningStack
) -> None:
    async with person(browser, "Eve", stack.http) as eve:
        await eve.sign_up()
        address = await open_account(eve)
        await submit(card(eve, "Profile"), "Save", Your_name="Eva")
        await expect(card(eve, "Profile").get_by_role("status")).to_have_text("Saved")
        picture = card(eve, "Picture")
        for name, content in (("no.png", b"no picture"), ("dot.png", PICTURE)):
            file = FilePayload(name=name, mimeType="image/png", buffer=content)
            await picture.get_by_label("Choose a picture").set_input_files(file)
            if content is not PICTURE:
                await expect(picture.get_by_role("alert")).to_contain_text("This is no PNG")
        shown = picture.get_by_role("img", name="Picture")
        await expect(shown).to_have_js_property("naturalWidth", 256)
        await eve.page.goto(eve.address)
        await eve.start_meeting("With a picture")
        face = eve.page.locator(".stage img.initial")
        await expect(face).to_have_js_property("naturalWidth", 256)
        await eve.button("Leave").click()
        await eve.button("Account").click()
        await picture.get_by_role("button", name="Remove picture").click()
        await expect(shown).to_have_count(0)

        keys = card(eve, "API keys")
        await submit(keys, "Make a key", What_is_it_for="calendar")
        await expect(keys.get_by_role("alert")).to_contain_text("Tick at least one thing")
        await keys.get_by_label("What is it for?").fill("calendar")
        await keys.get_by_label("read meetings").check()
        await keys.get_by_role("button", name="Make a key").click()
        await expect(keys.get_by_role("group", name="This is the key")).to_contain_text("pk_")
        await keys.get_by_role("button", name="Revoke: calendar").click()
        await eve.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(keys).to_contain_text("You have no API keys")

        hooks = card(eve, "Webhooks")
        await submit(hooks, "Add a webhook", Address="http://127.0.0.1/")
        await expect(hooks.get_by_role("alert")).to_contain_text("Nothing can be posted")
        hook = "https://hooks.example.org/parley"
        await hooks.get_by_label("somebody waits").check()
        await submit(hooks, "Add a webhook", Address=hook)
        await expect(hooks.get_by_role("group", name="signing secret")).to_contain_text("whsec_")
        row = hooks.get_by_role("listitem", name=hook)
        await expect(row).to_contain_text("somebody waits · made")
        await row.get_by_role("button", name="Given up").click()
        await expect(row).to_contain_text("Nothing was given up")
        await row.get_by_role("button", name="Deliver again").click()
        await eve.page.get_by_role("dialog").get_by_role("button", name="Deliver again").click()
        await row.get_by_role("button", name="Delete").click()
        await eve.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(hooks).to_contain_text("You have no webhooks")

        async with eve.page.expect_download() as coming:
            await eve.button("Download your data").click()
        with ZipFile(await (await coming.value).path()) as packed:
            assert address in packed.read("account.json").decode()
        goodbye = card(eve, "Delete account")
        for password in ("not the password", PASSWORD):
            await submit(goodbye, "Delete account", Password=password)
            sure = eve.page.get_by_role("dialog").get_by_role("button", name="Delete account")
            await sure.click()
            if password is not PASSWORD:
                await expect(goodbye.get_by_role("alert")).to_contain_text("password is wrong")
        await is_signed_out(eve)
        await sign_in(eve, address)
        await expect(eve.page.get_by_role("alert")).to_contain_text("wrong")


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
