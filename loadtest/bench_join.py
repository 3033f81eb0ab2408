"""From the click on "Join now" to the first picture of somebody else, in a real browser through the whole stack.

`python -m loadtest.bench_join [--address URL] [--joins N]` measures a stack that runs, or starts one; N defaults to 10.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from loadtest.bench_stack import running
from loadtest.browser import ALLOW_DEVICES, Person, chromium, person
from stack.bench import Figure

JOINS = 10
BAR_SECONDS = 1.5

WATCH = """
addEventListener("click", (event) => {
  if (event.target.closest("form button")) window.clicked = performance.now();
}, { capture: true });
new MutationObserver(() => {
  for (const video of document.querySelectorAll(".stage video:not(.mirrored):not([data-watched])")) {
    video.dataset.watched = "";
    video.requestVideoFrameCallback(() => { window.shown ??= performance.now(); });
  }
}).observe(document, { childList: true, subtree: true });
"""
"""Notes when the click comes, and when a frame of a remote video is presented (WICG video-rvfc)."""


def main(address: str = "", joins: int = JOINS) -> list[Figure]:
    """Measure the stack at `address`, or one of its own."""
    if address:
        return _figures(asyncio.run(measure(address, joins)))
    folder = Path(tempfile.mkdtemp(prefix="parley-bench-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with running(folder) as own:
            return _figures(asyncio.run(measure(own, joins)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure(address: str, joins: int) -> list[float]:
    """Have somebody join a meeting that somebody is in, again and again; returns the seconds each took."""
    async with (
        chromium(ALLOW_DEVICES) as browser,
        person(browser, "Ann", address) as ann,
        person(browser, "Bob", address) as bob,
    ):
        await ann.sign_up()
        await bob.sign_up()
        code = await ann.start_meeting("Joins")
        await bob.page.context.add_init_script(WATCH)
        return [await _join(bob, code) for _ in range(joins)]


async def _join(bob: Person, code: str) -> float:
    await bob.page.goto(f"{bob.address}/m/{code}")
    await bob.go_in()
    shown = await bob.page.wait_for_function("() => window.shown && window.shown - window.clicked")
    milliseconds: float = await shown.json_value()
    await bob.button("Leave").click()
    await bob.page.get_by_role("heading", name="You have left").wait_for()
    return milliseconds / 1000


def _figures(seconds: list[float]) -> list[Figure]:
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return [
        Figure("click to first remote frame, p50", statistics.median(seconds), "s"),
        Figure(
            "click to first remote frame, p95",
            p95,
            "s",
            f"< {BAR_SECONDS} s",
            p95 < BAR_SECONDS,
        ),
        Figure("joins measured", float(len(seconds)), ""),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="", help="a running stack's; default: start one")
    parser.add_argument("--joins", type=int, default=JOINS)
    chosen = parser.parse_args()
    print(json.dumps([asdict(figure) for figure in main(chosen.address, chosen.joins)], indent=2))


__all__ = ["main", "measure"]
