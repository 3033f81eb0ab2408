/**
 * The publisher connection: what we send. We offer; the server answers; one negotiation at a time, and what changes
 * while one goes on is in the next. Its senders' parameters follow the layers that anybody watches.
 */
import type { PublishedTrack, TrackSource } from "../gen/parley/signaling/v1/signaling_pb";
import type { Signaling } from "./signaling";
import { encodingsOf, fit, kindOf, type OwnMedia, PASSING, preferred, type Source, SOURCES, TRACK_SOURCES } from "./sources";

const RECOVER_MS = 3_000;

/** What has a media section. `told` is what the room last heard of `muted`. */
interface Sent {
  readonly transceiver: RTCRtpTransceiver;
  readonly source: Source;
  muted: boolean;
  told: boolean;
  /** How often we have said that it is muted, and have not heard it from the room yet. */
  echoes: number;
  trackId: string;
}

export interface PublisherListener {
  /** The connection's state is another one. */
  moved(): void;
  /** A transceiver was made, and is not offered yet. */
  made?(transceiver: RTCRtpTransceiver, source: TrackSource): void;
  /** The server has muted from its beginning what we did not offer as muted. */
  silenced?(source: Source): void;
}

export class Publisher {
  readonly #connection: RTCPeerConnection;
  readonly #sent = new Map<Source, Sent>();
  /** Layers that are watched, by track id; they may be told before the answer that has the track's id. */
  readonly #watched = new Map<string, readonly string[]>();
  #started = false;
  #due: { iceRestart: boolean } | undefined;
  #negotiating: Promise<void> = Promise.resolve();
  #fitting: Promise<void> = Promise.resolve();
  #recovering: ReturnType<typeof setTimeout> | undefined;
  #retired = false;
  #closed = false;

  constructor(
    private readonly signaling: Signaling,
    iceServers: RTCIceServer[],
    private readonly listener: PublisherListener,
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
    for (const source of SOURCES) this.#add(source, own[source] ?? null);
    await this.#negotiate();
  }

  /** Send a track, or none: what passes is then published no more, anything else keeps its place and is muted. */
  async set(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (!this.#started) return;
    const sent = this.#sent.get(source);
    if (sent === undefined) {
      if (!this.#retired && this.#add(source, track)) await this.#negotiate().catch((error: unknown) => this.#giveUp(source, error));
    } else if (track === null && PASSING.has(source)) {
      this.#remove(sent);
      await this.#negotiate();
    } else {
      await sent.transceiver.sender.replaceTrack(track);
      await this.mute(source, track === null || !track.enabled);
    }
  }

  /** Tell the room that a track is muted, or no more. */
  async mute(source: Source, muted: boolean): Promise<void> {
    const sent = this.#sent.get(source);
    if (sent === undefined) return;
    sent.muted = muted;
    await this.#tell(sent);
  }

  /** Publish a source no more: it was taken away from us. */
  async withdraw(source: Source): Promise<void> {
    const sent = this.#sent.get(source);
    if (sent === undefined) return;
    this.#remove(sent);
    await this.#negotiate();
  }

  /** Take in what the room says of a track of ours. Returns its source if somebody else has muted it. */
  heard(trackId: string, muted: boolean): Source | undefined {
    const sent = [...this.#sent.values()].find((each) => each.trackId === trackId);
    if (sent === undefined) return undefined;
    if (!muted) sent.echoes = 0;
    else if (sent.echoes > 0) sent.echoes--;
    else if (!sent.told) {
      sent.muted = sent.told = true;
      return sent.source;
    }
    return undefined;
  }

  /** Send the layers of a track that anybody watches, and no others (RTCRtpEncodingParameters.active). */
  watched(trackId: string, rids: readonly string[]): void {
    this.#watched.set(trackId, rids);
    for (const sent of this.#sent.values()) if (sent.trackId === trackId) this.#fit(sent);
  }

  /** Encode a source by its track's content hint, as it is now. */
  retune(source: Source): void {
    const sent = this.#sent.get(source);
    if (sent !== undefined) this.#fit(sent);
  }

  /** Look for a path anew, at once (ICE restart). */
  restart(): void {
    if (this.#started) this.#negotiate(true).catch(() => this.#watch());
  }

  /** Go on sending, but say nothing to the server any more: it listens elsewhere now. */
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

  #add(source: Source, track: MediaStreamTrack | null): boolean {
    if (track === null) return false;
    const kind = kindOf(source);
    const transceiver = this.#connection.addTransceiver(track, {
      direction: "sendonly",
      sendEncodings: encodingsOf(source),
    });
    const codecs = RTCRtpSender.getCapabilities(kind)?.codecs ?? [];
    if (codecs.length > 0) transceiver.setCodecPreferences(preferred(kind, codecs));
    this.#sent.set(source, { transceiver, source, muted: !track.enabled, told: !track.enabled, echoes: 0, trackId: "" });
    this.listener.made?.(transceiver, TRACK_SOURCES[source]);
    return true;
  }

  #remove(sent: Sent): void {
    this.#sent.delete(sent.source);
    this.#watched.delete(sent.trackId);
    sent.transceiver.stop();
  }

  /** What could not be published would spoil every later offer: it is taken out again. */
  #giveUp(source: Source, error: unknown): never {
    const sent = this.#sent.get(source);
    if (sent !== undefined && sent.trackId === "" && !this.#closed) this.#remove(sent);
    throw error;
  }

  #negotiate(iceRestart = false): Promise<void> {
    this.#due = { iceRestart: iceRestart || (this.#due?.iceRestart ?? false) };
    this.#negotiating = this.#negotiating.catch(() => undefined).then(() => this.#offer());
    return this.#negotiating;
  }

  async #offer(): Promise<void> {
    const due = this.#due;
    this.#due = undefined;
    if (due === undefined || this.#isQuiet() || this.#connection.getTransceivers().length === 0) return;
    const offer = await this.#connection.createOffer(due);
    await this.#connection.setLocalDescription(offer);
    const offered = [...this.#sent.values()];
    for (const sent of offered) sent.told = sent.muted;
    const tracks = offered.map(({ transceiver, source, told }) => ({
      $typeName: "parley.signaling.v1.TrackDescription" as const,
      mid: transceiver.mid ?? "",
      source: TRACK_SOURCES[source],
      muted: told,
    }));
    try {
      const said = await this.signaling.ask({
        case: "publishOffer",
        value: { $typeName: "parley.signaling.v1.PublishOffer", sdp: offer.sdp ?? "", tracks },
      });
      if (said.case !== "publishAnswer" || this.#isClosed()) return;
      await this.#connection.setRemoteDescription({ type: "answer", sdp: said.value.sdp });
      this.#published(offered, new Map(said.value.tracks.map((track) => [track.mid, track])));
    } catch (error) {
      if (!this.#isClosed()) await this.#connection.setLocalDescription({ type: "rollback" }).catch(() => undefined);
      throw error;
    }
    for (const sent of offered) await this.#tell(sent);
  }

  #published(offered: readonly Sent[], tracks: ReadonlyMap<string, PublishedTrack>): void {
    for (const sent of offered) {
      const track = tracks.get(sent.transceiver.mid ?? "");
      if (sent.trackId === "" && track?.muted === true) this.#begunMuted(sent);
      sent.trackId = track?.trackId ?? "";
      this.#fit(sent);
    }
    const ours = new Set([...tracks.values()].map(({ trackId }) => trackId));
    for (const trackId of [...this.#watched.keys()]) if (!ours.has(trackId)) this.#watched.delete(trackId);
  }

  #begunMuted(sent: Sent): void {
    sent.told = true;
    if (sent.muted) return;
    sent.muted = true;
    this.listener.silenced?.(sent.source);
  }

  /** Set a sender's parameters anew: one after the other, as each change needs the parameters of the one before. */
  #fit({ transceiver: { sender }, source, trackId }: Sent): void {
    this.#fitting = this.#fitting
      .then(() => {
        if (this.#closed) return undefined;
        const hint = sender.track?.contentHint ?? "";
        return sender.setParameters(fit(sender.getParameters(), source, this.#watched.get(trackId), hint));
      })
      .catch((error: unknown) => console.warn("parameters not set", source, error));
  }

  async #tell(sent: Sent): Promise<void> {
    const { trackId, muted, told } = sent;
    if (trackId === "" || muted === told || this.#isQuiet()) return;
    sent.told = muted;
    if (muted) sent.echoes++;
    await this.signaling.ask({
      case: "setTrackMuted",
      value: { $typeName: "parley.signaling.v1.SetTrackMuted", trackId, muted },
    });
  }

  /** A path that is lost for three seconds is looked for anew. */
  #watch(): void {
    clearTimeout(this.#recovering);
    this.listener.moved();
    if ((this.state === "disconnected" || this.state === "failed") && !this.#isQuiet())
      this.#recovering = setTimeout(() => this.restart(), RECOVER_MS);
  }

  #isQuiet(): boolean {
    return this.#closed || this.#retired;
  }

  #isClosed(): boolean {
    return this.#closed;
  }
}
