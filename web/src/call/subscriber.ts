/** The subscriber connection: what we receive. The server offers; we answer; one offer at a time. */
import type { SubscribeOffer } from "../gen/parley/signaling/v1/signaling_pb";
import type { Signaling } from "./signaling";

const RECOVER_MS = 3_000;

/** What happens on the connection. */
export interface Receiver {
  /** Tracks that arrive, by their ids in the room. */
  received(tracks: Map<string, MediaStreamTrack>): void;
  /** A receiver is there for a track, before its section is answered; it may have been another track's. */
  arrived(trackId: string, receiver: RTCRtpReceiver): void;
  /** The connection's state is another one. */
  moved(): void;
}

export class Subscriber {
  readonly #connection: RTCPeerConnection;
  #trackIds = new Map<string, string>();
  #answering: Promise<void> = Promise.resolve();
  #recovering: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    private readonly signaling: Signaling,
    iceServers: RTCIceServer[],
    private readonly receiver: Receiver,
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

  close(): void {
    this.#closed = true;
    clearTimeout(this.#recovering);
    this.#connection.close();
  }

  async #answer(offer: SubscribeOffer): Promise<void> {
    if (this.#closed) return;
    this.#trackIds = new Map(offer.tracks.map(({ mid, trackId }) => [mid, trackId]));
    await this.#connection.setRemoteDescription({ type: "offer", sdp: offer.sdp });
    for (const [trackId, receiver] of this.#receivers()) this.receiver.arrived(trackId, receiver);
    await this.#connection.setLocalDescription();
    this.#tell();
    await this.signaling.ask({
      case: "subscribeAnswer",
      value: {
        $typeName: "parley.signaling.v1.SubscribeAnswer",
        sdp: this.#connection.localDescription?.sdp ?? "",
        revision: offer.revision,
      },
    });
  }

  #tell(): void {
    this.receiver.received(new Map([...this.#receivers()].map(([trackId, { track }]) => [trackId, track])));
  }

  /** The receivers of what is offered, by track id. */
  *#receivers(): Generator<[string, RTCRtpReceiver]> {
    for (const { mid, receiver } of this.#connection.getTransceivers()) {
      const trackId = this.#trackIds.get(mid ?? "");
      if (trackId !== undefined) yield [trackId, receiver];
    }
  }

  #watch(): void {
    clearTimeout(this.#recovering);
    this.receiver.moved();
    if (this.state === "disconnected" || this.state === "failed") this.#recover();
  }

  /** Have the server offer anew, in a while: the path is lost, or an answer did not get through. */
  #recover(): void {
    clearTimeout(this.#recovering);
    if (this.#closed) return;
    this.#recovering = setTimeout(() => {
      this.signaling
        .ask({ case: "restartIce", value: { $typeName: "parley.signaling.v1.RestartIce" } })
        .catch(() => this.#recover());
    }, RECOVER_MS);
  }
}
