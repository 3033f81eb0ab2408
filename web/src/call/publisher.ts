/** The publisher connection: what we send. We offer; the server answers; one negotiation at a time. */
import { TrackSource } from "../gen/parley/signaling/v1/signaling_pb";
import type { Signaling } from "./signaling";

const MAX_VIDEO_BPS = 1_500_000;
const RECOVER_MS = 3_000;

interface Sent {
  transceiver: RTCRtpTransceiver;
  source: TrackSource;
  muted: boolean;
  trackId: string;
}

export class Publisher {
  #connection: RTCPeerConnection;
  readonly #sent = new Map<"audio" | "video", Sent>();
  #negotiating: Promise<void> = Promise.resolve();
  #recovering: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    private readonly signaling: Signaling,
    iceServers: RTCIceServer[],
  ) {
    this.#connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#connection.addEventListener("connectionstatechange", () => this.#watch());
  }

  /** Send a track, or (null) keep its place with nothing to send; tells the room whether it is muted. */
  async set(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<void> {
    const muted = track === null || !track.enabled;
    const sent = this.#sent.get(kind);
    if (sent !== undefined) {
      await sent.transceiver.sender.replaceTrack(track);
      await this.mute(kind, muted);
      return;
    }
    if (track === null) return;
    const transceiver = this.#connection.addTransceiver(track, {
      direction: "sendonly",
      sendEncodings: kind === "video" ? [{ maxBitrate: MAX_VIDEO_BPS }] : [{}],
    });
    if (kind === "video") preferVp8(transceiver);
    const source = kind === "audio" ? TrackSource.MICROPHONE : TrackSource.CAMERA;
    this.#sent.set(kind, { transceiver, source, muted, trackId: "" });
    await this.negotiate();
  }

  /** Tell the room that a track is muted, or no more. */
  async mute(kind: "audio" | "video", muted: boolean): Promise<void> {
    const sent = this.#sent.get(kind);
    if (sent === undefined || sent.muted === muted) return;
    sent.muted = muted;
    if (sent.trackId === "") return;
    await this.signaling.ask({
      case: "setTrackMuted",
      value: { $typeName: "parley.signaling.v1.SetTrackMuted", trackId: sent.trackId, muted },
    });
  }

  negotiate(iceRestart = false): Promise<void> {
    this.#negotiating = this.#negotiating.catch(() => undefined).then(() => this.#negotiate(iceRestart));
    return this.#negotiating;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#recovering);
    this.#connection.close();
  }

  async #negotiate(iceRestart: boolean): Promise<void> {
    if (this.#closed || this.#sent.size === 0) return;
    const offer = await this.#connection.createOffer({ iceRestart });
    await this.#connection.setLocalDescription(offer);
    const tracks = [...this.#sent.values()].map(({ transceiver, source, muted }) => ({
      $typeName: "parley.signaling.v1.TrackDescription" as const,
      mid: transceiver.mid ?? "",
      source,
      muted,
    }));
    const said = await this.signaling.ask({
      case: "publishOffer",
      value: { $typeName: "parley.signaling.v1.PublishOffer", sdp: offer.sdp ?? "", tracks },
    });
    if (said.case !== "publishAnswer" || this.#isClosed()) return;
    await this.#connection.setRemoteDescription({ type: "answer", sdp: said.value.sdp });
    for (const { mid, trackId } of said.value.tracks)
      for (const sent of this.#sent.values()) if (sent.transceiver.mid === mid) sent.trackId = trackId;
  }

  /** A path that is lost for three seconds is looked for anew (ICE restart). */
  #watch(): void {
    clearTimeout(this.#recovering);
    const state = this.#connection.connectionState;
    if (state === "disconnected" || state === "failed")
      this.#recovering = setTimeout(() => void this.negotiate(true).catch(() => this.#watch()), RECOVER_MS);
  }

  #isClosed(): boolean {
    return this.#closed;
  }
}

/** VP8 first: every browser has it, and so does the server. */
function preferVp8(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const rank = (codec: RTCRtpCodec) => (codec.mimeType === "video/VP8" ? 0 : 1);
  transceiver.setCodecPreferences([...codecs].sort((a, b) => rank(a) - rank(b)));
}
