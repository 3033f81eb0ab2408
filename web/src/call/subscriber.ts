/** The subscriber connection: what we receive. The server offers; we answer; one offer at a time. */
import type { SubscribeOffer } from "../gen/parley/signaling/v1/signaling_pb";
import type { Signaling } from "./signaling";

const RECOVER_MS = 3_000;
/** What has come within this time is coming. A screen that stands still sends a picture a second. */
const FRESH_MS = 2_000;

export interface SubscriberListener {
  /** Tracks have arrived or gone. */
  received(): void;
  /** The connection's state is another one. */
  moved(): void;
  /** A receiver is there for a track, before its section is answered; it may have been another track's. */
  arrived?(trackId: string, receiver: RTCRtpReceiver): void;
}

export class Subscriber {
  /** Tracks that arrive, by their ids in the room. */
  received: ReadonlyMap<string, MediaStreamTrack> = new Map();
  readonly #connection: RTCPeerConnection;
  #trackIds = new Map<string, string>();
  #answering: Promise<void> = Promise.resolve();
  #recovering: ReturnType<typeof setTimeout> | undefined;
  #retired = false;
  #closed = false;

  constructor(
    private readonly signaling: Signaling,
    iceServers: RTCIceServer[],
    private readonly listener: SubscriberListener,
  ) {
    this.#connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#connection.addEventListener("connectionstatechange", () => this.#watch());
  }

  get state(): RTCPeerConnectionState {
    return this.#connection.connectionState;
  }

  offered(offer: SubscribeOffer): void {
    this.#answering = this.#answering.then(() => this.#answer(offer)).catch(() => this.#recover());
  }

  /** Look for a path anew, at once (ICE restart). */
  restart(): void {
    clearTimeout(this.#recovering);
    if (this.#closed || this.#retired) return;
    this.signaling
      .ask({ case: "restartIce", value: { $typeName: "parley.signaling.v1.RestartIce" } })
      .catch(() => this.#recover());
  }

  /** Go on receiving, but say nothing to the server any more: it listens elsewhere now. */
  retire(): void {
    this.#retired = true;
    clearTimeout(this.#recovering);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#recovering);
    this.#connection.close();
  }

  getStats(): Promise<RTCStatsReport> {
    return this.#connection.getStats();
  }

  /** The ids of the tracks of which sound or whole pictures come at this moment (W3C webrtc-stats §8.4). */
  async delivering(): Promise<Set<string>> {
    const coming = new Set<string>();
    const stats = (await this.#connection.getStats()) as ReadonlyMap<string, RTCInboundRtpStreamStats>;
    for (const report of stats.values()) {
      if (report.type !== "inbound-rtp") continue;
      const count = report.kind === "video" ? report.framesDecoded : report.packetsReceived;
      const isFresh = (report.lastPacketReceivedTimestamp ?? Infinity) > Date.now() - FRESH_MS;
      if ((count ?? 0) > 0 && isFresh) coming.add(report.trackIdentifier);
    }
    return new Set([...this.received].filter(([, track]) => coming.has(track.id)).map(([trackId]) => trackId));
  }

  async #answer(offer: SubscribeOffer): Promise<void> {
    if (this.#closed || this.#retired) return;
    this.#trackIds = new Map(offer.tracks.map(({ mid, trackId }) => [mid, trackId]));
    await this.#connection.setRemoteDescription({ type: "offer", sdp: offer.sdp });
    this.#collect();
    await this.#connection.setLocalDescription();
    await this.signaling.ask({
      case: "subscribeAnswer",
      value: {
        $typeName: "parley.signaling.v1.SubscribeAnswer",
        sdp: this.#connection.localDescription?.sdp ?? "",
        revision: offer.revision,
      },
    });
  }

  #collect(): void {
    const before = this.received;
    const received = new Map<string, MediaStreamTrack>();
    for (const { mid, receiver } of this.#connection.getTransceivers()) {
      const trackId = this.#trackIds.get(mid ?? "");
      if (trackId === undefined) continue;
      received.set(trackId, receiver.track);
      if (!before.has(trackId)) this.listener.arrived?.(trackId, receiver);
    }
    this.received = received;
    this.listener.received();
  }

  #watch(): void {
    clearTimeout(this.#recovering);
    this.listener.moved();
    if (this.state === "disconnected" || this.state === "failed") this.#recover();
  }

  /** Have the server offer anew, in a while: the path is lost, or an answer did not get through. */
  #recover(): void {
    clearTimeout(this.#recovering);
    if (!this.#closed && !this.#retired) this.#recovering = setTimeout(() => this.restart(), RECOVER_MS);
  }
}
