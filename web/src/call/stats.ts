/** What browsers count (W3C webrtc-stats), as a row per stream that is sent or received. Pure. */

export interface Row {
  readonly key: string;
  readonly direction: "sent" | "received";
  /** `MediaStreamTrack.id` of what is sent or received. */
  readonly trackIdentifier: string;
  /** Without its kind: "VP8". */
  readonly codec: string;
  readonly rid: string;
  /** 0 for sound. */
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly bitrateBps: number;
  /** 0 to 1, since the rows before. */
  readonly loss: number;
  readonly jitterMs: number | undefined;
  readonly rttMs: number | undefined;
  readonly freezes: number;
}

/** A stream's counters at a moment; bitrate and loss are told by two of them. */
interface Sample {
  readonly timestamp: number;
  readonly bytes: number;
  readonly packets: number;
  readonly lost: number;
}

interface Report extends RTCInboundRtpStreamStats, Omit<RTCOutboundRtpStreamStats, "kind"> {
  readonly localId?: string;
  readonly fractionLost?: number;
  readonly roundTripTime?: number;
  readonly nominated?: boolean;
  readonly currentRoundTripTime?: number;
  readonly mimeType?: string;
}

type Reports = ReadonlyMap<string, Report>;

/** Reads one report after the other: keeps the counters of the last, for what lies between. */
export class Meter {
  #before = new Map<string, Sample>();

  /** Make rows of the reports of one's connections. */
  read(reports: readonly RTCStatsReport[]): Row[] {
    const now = new Map<string, Sample>();
    const rows = reports.flatMap((report, index) => this.#rows(report as unknown as Reports, `${index} `, now));
    this.#before = now;
    return rows.sort((a, b) => Number(b.direction === "sent") - Number(a.direction === "sent"));
  }

  #rows(reports: Reports, prefix: string, now: Map<string, Sample>): Row[] {
    const all = [...reports.values()];
    const rtt = all.find(({ type, nominated }) => type === "candidate-pair" && nominated)?.currentRoundTripTime;
    return all
      .filter(({ type }) => type === "inbound-rtp" || type === "outbound-rtp")
      .map((report) => {
        const key = prefix + report.id;
        const remote = all.find(({ type, localId }) => type === "remote-inbound-rtp" && localId === report.id);
        const sample = sampleOf(report);
        const before = this.#before.get(key);
        now.set(key, sample);
        return row(key, report, remote, reports, rtt, before, sample);
      });
  }
}

function row(
  key: string,
  report: Report,
  remote: Report | undefined,
  reports: Reports,
  rtt: number | undefined,
  before: Sample | undefined,
  sample: Sample,
): Row {
  const isSent = report.type === "outbound-rtp";
  const jitter = isSent ? remote?.jitter : report.jitter;
  const source = reports.get(report.mediaSourceId ?? "");
  return {
    key,
    direction: isSent ? "sent" : "received",
    trackIdentifier: (isSent ? source?.trackIdentifier : report.trackIdentifier) ?? "",
    codec: reports.get(report.codecId ?? "")?.mimeType?.replace(/^\w+\//, "") ?? "",
    rid: report.rid ?? "",
    width: report.frameWidth ?? 0,
    height: report.frameHeight ?? 0,
    fps: Math.round(report.framesPerSecond ?? 0),
    bitrateBps: bitrate(before, sample),
    loss: isSent ? (remote?.fractionLost ?? 0) : loss(before, sample),
    jitterMs: inMs(jitter),
    rttMs: inMs(remote?.roundTripTime ?? rtt),
    freezes: report.freezeCount ?? 0,
  };
}

function sampleOf(report: Report): Sample {
  return {
    timestamp: report.timestamp,
    bytes: report.bytesReceived ?? report.bytesSent ?? 0,
    packets: report.packetsReceived ?? 0,
    lost: report.packetsLost ?? 0,
  };
}

function bitrate(before: Sample | undefined, sample: Sample): number {
  if (before === undefined || sample.timestamp <= before.timestamp) return 0;
  return (Math.max(0, sample.bytes - before.bytes) * 8 * 1000) / (sample.timestamp - before.timestamp);
}

/** Of what was to come since then. Lost packets can come late, and are then lost no more. */
function loss(before: Sample | undefined, sample: Sample): number {
  const lost = Math.max(0, sample.lost - (before?.lost ?? 0));
  const expected = lost + sample.packets - (before?.packets ?? 0);
  return expected > 0 ? lost / expected : 0;
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}
