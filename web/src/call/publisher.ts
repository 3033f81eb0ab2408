/** The publisher connection: what we send. We offer; the server answers; one negotiation at a time. */
import { TrackSource } from "../gen/parley/signaling/v1/signaling_pb";
import type { Signaling } from "./signaling";

const MAX_VIDEO_BPS = 1_500_000;
const RECOVER_MS = 3_000;

export type Kind = "audio" | "video";
export type OwnMedia = Readonly<Record<Kind, MediaStreamTrack | null>>;

/** What has a media section. `told` is what the room last heard of `muted`. */
interface Sent {
  readonly transceiver: RTCRtpTransceiver;
  readonly source: TrackSource;
  muted: boolean;
  told: boolean;
  trackId: string;
}

export class Publisher {
  readonly #connection: RTCPeerConnection;
  readonly #sent = new Map<Kind, Sent>();
  #started = false;
  #negotiating: Promise<void> = Promise.resolve();
  #recovering: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    private readonly signaling: Signaling,
    iceServers: RTCIceServer[],
    private readonly moved: () => void,
    /** Gets each transceiver before it is offered. */
    private readonly made: (transceiver: RTCRtpTransceiver, source: TrackSource) => void = () => undefined,
  ) {
    this.#connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#connection.addEventListener("connectionstatechange", () => this.#watch());
  }

  get state(): RTCPeerConnectionState {
    return this.#connection.connectionState;
  }

  /** Offer what there is, all at once. */
  async start(own: OwnMedia): Promise<void> {
    this.#started = true;
    for (const kind of ["audio", "video"] as const) this.#add(kind, own[kind]);
    await this.#negotiate();
  }

  /** Send a track, or (null) keep its place with nothing to send; tells the room whether it is muted. */
  async set(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    if (!this.#started) return;
    const sent = this.#sent.get(kind);
    if (sent === undefined) {
      if (this.#add(kind, track)) await this.#negotiate();
      return;
    }
    await sent.transceiver.sender.replaceTrack(track);
    await this.mute(kind, track === null || !track.enabled);
  }

  /** Tell the room that a track is muted, or no more. */
  async mute(kind: Kind, muted: boolean): Promise<void> {
    const sent = this.#sent.get(kind);
    if (sent === undefined) return;
    sent.muted = muted;
    await this.#tell(sent);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#recovering);
    this.#connection.close();
  }

  #add(kind: Kind, track: MediaStreamTrack | null): boolean {
    if (track === null) return false;
    const transceiver = this.#connection.addTransceiver(track, {
      direction: "sendonly",
      sendEncodings: kind === "video" ? [{ maxBitrate: MAX_VIDEO_BPS }] : [{}],
    });
    if (kind === "video") preferVp8(transceiver);
    const source = kind === "audio" ? TrackSource.MICROPHONE : TrackSource.CAMERA;
    this.made(transceiver, source);
    this.#sent.set(kind, { transceiver, source, muted: !track.enabled, told: !track.enabled, trackId: "" });
    return true;
  }

  #negotiate(iceRestart = false): Promise<void> {
    this.#negotiating = this.#negotiating.catch(() => undefined).then(() => this.#offer(iceRestart));
    return this.#negotiating;
  }

  async #offer(iceRestart: boolean): Promise<void> {
    if (this.#closed || this.#sent.size === 0) return;
    const offer = await this.#connection.createOffer({ iceRestart });
    await this.#connection.setLocalDescription(offer);
    const offered = [...this.#sent.values()];
    for (const sent of offered) sent.told = sent.muted;
    const tracks = offered.map(({ transceiver, source, told }) => ({
      $typeName: "parley.signaling.v1.TrackDescription" as const,
      mid: transceiver.mid ?? "",
      source,
      muted: told,
    }));
    const said = await this.signaling.ask({
      case: "publishOffer",
      value: { $typeName: "parley.signaling.v1.PublishOffer", sdp: offer.sdp ?? "", tracks },
    });
    if (said.case !== "publishAnswer" || this.#isClosed()) return;
    await this.#connection.setRemoteDescription({ type: "answer", sdp: said.value.sdp });
    const trackIds = new Map(said.value.tracks.map(({ mid, trackId }) => [mid, trackId]));
    for (const sent of offered) sent.trackId = trackIds.get(sent.transceiver.mid ?? "") ?? "";
    for (const sent of offered) await this.#tell(sent);
  }

  async #tell(sent: Sent): Promise<void> {
    const { trackId, muted, told } = sent;
    if (trackId === "" || muted === told) return;
    sent.told = muted;
    await this.signaling.ask({
      case: "setTrackMuted",
      value: { $typeName: "parley.signaling.v1.SetTrackMuted", trackId, muted },
    });
  }

  /** A path that is lost for three seconds is looked for anew (ICE restart). */
  #watch(): void {
    clearTimeout(this.#recovering);
    this.moved();
    if (this.state === "disconnected" || this.state === "failed")
      this.#recovering = setTimeout(() => void this.#negotiate(true).catch(() => this.#watch()), RECOVER_MS);
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
