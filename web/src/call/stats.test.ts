import { expect, test } from "vitest";
import { Meter } from "./stats";

/** A report with a sent layer and a received picture, after so many seconds of the same. */
function report(seconds: number): RTCStatsReport {
  const counted = { timestamp: seconds * 1000 };
  const reports = [
    { id: "c", type: "codec", mimeType: "video/VP8" },
    { id: "s", type: "media-source", trackIdentifier: "mine" },
    { id: "o", type: "outbound-rtp", codecId: "c", mediaSourceId: "s", rid: "q", bytesSent: 10_000 * seconds, ...counted },
    { id: "r", type: "remote-inbound-rtp", localId: "o", fractionLost: 0.25, jitter: 0.004, roundTripTime: 0.05 },
    { id: "p", type: "candidate-pair", nominated: true, currentRoundTripTime: 0.02 },
    {
      id: "i",
      type: "inbound-rtp",
      trackIdentifier: "theirs",
      frameWidth: 640,
      frameHeight: 360,
      framesPerSecond: 29.6,
      bytesReceived: 50_000 * seconds,
      packetsReceived: 90 * seconds,
      packetsLost: 10 * seconds,
      jitter: 0.003,
      ...counted,
    },
  ];
  return new Map(reports.map((each) => [each.id, each]));
}

test("bitrate and loss are those since the reading before", () => {
  const meter = new Meter();
  meter.read([report(1)]);
  const [sent, received] = meter.read([report(3)]);
  expect(sent).toMatchObject({ codec: "VP8", rid: "q", trackIdentifier: "mine", bitrateBps: 80_000, loss: 0.25, rttMs: 50 });
  expect(received).toMatchObject({ width: 640, fps: 30, bitrateBps: 400_000, loss: 0.1, jitterMs: 3, rttMs: 20 });
});
