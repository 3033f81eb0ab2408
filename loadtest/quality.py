"""What a person saw and heard for a while, from the statistics of their browser (W3C webrtc-stats)."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

SAMPLE = """async () => {
  const names = {};
  for (const tile of document.querySelectorAll(".stage li"))
    for (const element of tile.querySelectorAll("video, audio"))
      for (const track of element.srcObject?.getTracks() ?? [])
        names[track.id] = tile.getAttribute("aria-label").split(",")[0];
  const sample = { received: {}, sent: {} };
  for (const connection of window.connections.filter((each) => each.connectionState !== "closed"))
    for (const [, report] of await connection.getStats()) {
      const who = report.kind + " of " + (names[report.trackIdentifier] ?? "somebody");
      if (report.type === "inbound-rtp") sample.received[who] = report;
      if (report.type === "outbound-rtp") sample.sent[report.kind + (report.rid ?? "")] = report;
    }
  return sample;
}"""

Sample = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Picture:
    """Somebody's picture as another saw it. `still_seconds`: in which no new frame came, of those sampled."""

    freezes: int
    frozen_seconds: float
    still_seconds: int
    height: int
    frames_per_second: float
    bitrate_kbps: float
    nacks: int
    keyframe_requests: int
    retransmitted: int
    lost_percent: float


@dataclass(frozen=True, slots=True)
class Sound:
    """Somebody's sound as another heard it. `concealed_percent` is what the browser had to make up."""

    concealed_percent: float
    bitrate_kbps: float
    lost_percent: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What `who` saw and heard of `whom`."""

    who: str
    whom: str
    picture: Picture | None
    sound: Sound | None


async def sample(page: Page) -> Sample:
    """Read the statistics as they are now."""
    read: Sample = await page.evaluate(SAMPLE)
    return read


def sights(who: str, samples: Sequence[Sample]) -> list[Sight]:
    """Sum up samples that were taken a second apart."""
    streams = samples[-1]["received"]
    people = sorted({name.partition(" of ")[2] for name in streams})
    return [
        Sight(
            who,
            whom,
            _picture(_series(samples, f"video of {whom}")),
            _sound(_series(samples, f"audio of {whom}")),
        )
        for whom in people
    ]


def limited_by_cpu(samples: Sequence[Sample]) -> float:
    """Tell for how many seconds a browser sent a worse picture than it would, for want of CPU."""
    seconds = [
        [
            report["qualityLimitationDurations"]["cpu"]
            for report in each["sent"].values()
            if "qualityLimitationDurations" in report
        ]
        for each in (samples[0], samples[-1])
    ]
    return float(max(seconds[1], default=0.0) - max(seconds[0], default=0.0))


def _series(samples: Sequence[Sample], stream: str) -> list[Mapping[str, Any]]:
    """Take one stream's reports; from its beginning again if it was built anew meanwhile."""
    reports = [each["received"][stream] for each in samples if stream in each["received"]]
    return [report for report in reports if report["id"] == reports[-1]["id"]]


def _picture(reports: Sequence[Mapping[str, Any]]) -> Picture | None:
    if len(reports) < 2:
        return None
    frames = [report.get("framesDecoded", 0) for report in reports]
    heights = [report["frameHeight"] for report in reports if "frameHeight" in report]
    return Picture(
        freezes=_grown(reports, "freezeCount"),
        frozen_seconds=round(_grown(reports, "totalFreezesDuration"), 2),
        still_seconds=sum(after == before for before, after in itertools.pairwise(frames)),
        height=int(statistics.median(heights)) if heights else 0,
        frames_per_second=round(_grown(reports, "framesDecoded") / _seconds(reports), 1),
        bitrate_kbps=_bitrate(reports),
        nacks=_grown(reports, "nackCount"),
        keyframe_requests=_grown(reports, "pliCount"),
        retransmitted=_grown(reports, "retransmittedPacketsReceived"),
        lost_percent=_lost(reports),
    )


def _sound(reports: Sequence[Mapping[str, Any]]) -> Sound | None:
    if len(reports) < 2:
        return None
    heard = _grown(reports, "totalSamplesReceived")
    concealed = _grown(reports, "concealedSamples") - _grown(reports, "silentConcealedSamples")
    return Sound(
        round(100 * concealed / heard, 2) if heard else 100.0,
        _bitrate(reports),
        _lost(reports),
    )


def _grown(reports: Sequence[Mapping[str, Any]], key: str) -> Any:
    return reports[-1].get(key, 0) - reports[0].get(key, 0)


def _seconds(reports: Sequence[Mapping[str, Any]]) -> float:
    return float(_grown(reports, "timestamp")) / 1000


def _bitrate(reports: Sequence[Mapping[str, Any]]) -> float:
    return round(float(8 * _grown(reports, "bytesReceived")) / 1000 / _seconds(reports), 1)


def _lost(reports: Sequence[Mapping[str, Any]]) -> float:
    lost, received = _grown(reports, "packetsLost"), _grown(reports, "packetsReceived")
    return float(round(float(100 * max(0, lost)) / max(1, lost + received), 2))


__all__ = ["Picture", "Sight", "Sound", "limited_by_cpu", "sample", "sights"]
