/**
 * A call, from the ticket to the last word: the conversation, the room that it tells of, and the way of the media. No
 * pages and no React: the interface subscribes to `state`, which is replaced, never changed.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Client, ConnectError } from "@connectrpc/connect";
import type { JoinMeetingResponse, Participant } from "../gen/parley/meeting/v1/meeting_pb";
import { DisconnectReason, type SignalingService, type Track } from "../gen/parley/signaling/v1/signaling_pb";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import type { Encryption } from "./e2ee/encryption";
import { Heard } from "./heard";
import { watchNetwork } from "./network";
import { type MediaState, Plane, type PlaneListener } from "./plane";
import { Reactions } from "./reactions";
import { grantedTo } from "./roles";
import { changes, EMPTY, entered, isMoved, newest, ownOf, type Room } from "./room";
import type { Content } from "./screen";
import { type Said, Signaling } from "./signaling";
import { kindOf, type OwnMedia, type Source, SOURCES, sourceOf } from "./sources";
import { Wishes } from "./wishes";

export type Phase = "joining" | "live" | "reconnecting" | "over";
export type Ending = "left" | "ended" | "replaced" | "removed" | "lost" | "failed";

export interface CallState extends Room {
  readonly phase: Phase;
  readonly media: MediaState;
  /** Why the media has no way yet, or none, if the server has refused it. */
  readonly refusal: ConnectError | undefined;
  readonly ending: Ending | undefined;
  readonly error: ConnectError | undefined;
  /** What arrives, by track id. */
  readonly received: ReadonlyMap<string, MediaStreamTrack>;
  /** While the room moves: the tracks of the new path of which something has come. */
  readonly arrived: ReadonlySet<string>;
  /** Whose streams can't be decrypted, in an encrypted call: by `streamName` of their tracks. */
  readonly undecryptable: ReadonlySet<string>;
  readonly silenced: Silenced | undefined;
}

/** A source of ours was muted, by a host or because all begin muted; `count` tells one time from the next. */
export interface Silenced {
  readonly source: Source;
  readonly by: "host" | "entry";
  readonly count: number;
}

const ENDINGS: Partial<Record<DisconnectReason, Ending>> = {
  [DisconnectReason.LEFT]: "left",
  [DisconnectReason.REPLACED]: "replaced",
  [DisconnectReason.REMOVED]: "removed",
};

export class Call {
  state: CallState = {
    ...EMPTY,
    phase: "joining",
    media: "building",
    refusal: undefined,
    ending: undefined,
    error: undefined,
    received: new Map(),
    arrived: new Set(),
    undecryptable: new Set(),
    silenced: undefined,
  };
  readonly wishes: Wishes;
  readonly heard = new Heard();
  readonly reactions = new Reactions();
  readonly #overhearing = new Set<(message: Said) => void>();
  readonly #listeners = new Set<() => void>();
  readonly #signaling: Signaling;
  readonly #plane: Plane;
  readonly #unwatch: () => void;

  constructor(
    client: Client<typeof SignalingService>,
    private readonly admission: JoinMeetingResponse,
    own: OwnMedia,
    /** What an encrypted call is encrypted with. */
    private readonly encryption?: Encryption,
  ) {
    if (encryption !== undefined) encryption.changed = (undecryptable) => this.#change({ undecryptable });
    this.#signaling = new Signaling(client, {
      said: (message, time) => this.#said(message, time),
      connected: (connected) => this.#change({ phase: connected ? "live" : "reconnecting" }),
      over: (error) => this.#over(error),
    });
    const iceServers = admission.iceServers.map(({ urls, username, credential }) => ({ urls, username, credential }));
    const listener: PlaneListener = {
      made: (transceiver, source) => encryption?.made(transceiver, source),
      arrived: (trackId, receiver) =>
        encryption?.arrived(trackId, receiver, this.state.tracks.find(({ id }) => id === trackId)),
      silenced: (source) => this.#silence(source, "entry"),
      changed: (media, refusal) => this.#change({ media, refusal }),
      opened: () => this.wishes.again(),
      received: (received, arrived) => this.#change({ received, arrived }),
      isMoved: (coming, arrived) => isMoved(this.state, coming, arrived),
    };
    this.#plane = new Plane(this.#signaling, iceServers, listener, own);
    this.wishes = new Wishes((message) => this.#signaling.ask(message));
    this.#unwatch = watchNetwork({ online: () => this.#online(), changed: (certain) => this.#networkChanged(certain) });
    addEventListener("pagehide", this.#leaving);
  }

  /** Whether what is sent and received is encrypted end to end. */
  get isEncrypted(): boolean {
    return this.encryption !== undefined;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly snapshot = (): CallState => this.state;

  /** Have all that the server says told to somebody, until what is returned is called. */
  readonly overhear = (listener: (message: Said) => void): (() => void) => {
    this.#overhearing.add(listener);
    return () => this.#overhearing.delete(listener);
  };

  async start(): Promise<void> {
    const joined = await this.#signaling.join(this.admission.ticket);
    this.#change({ phase: "live", ...entered(joined) });
    await this.#plane.grant(grantedTo(ownOf(this.state)));
    await this.buildMedia();
  }

  /** Send another track of a source, or none. */
  setOwn(source: Source, track: MediaStreamTrack | null): Promise<void> {
    return this.#plane.set(source, track);
  }

  /** The track stays, and is silent. */
  mute(source: Source, muted: boolean): Promise<void> {
    return this.#plane.mute(source, muted);
  }

  /** Say what matters in the screen that we show. */
  setContent(content: Content): void {
    const screen = this.#plane.own.screen;
    if (screen) screen.contentHint = content;
    this.#plane.retune("screen");
  }

  /** Raise or lower our own hand, or as a host lower another's. */
  async setHand(raised: boolean, participant = ""): Promise<void> {
    await this.#signaling.ask({
      case: "setHandRaised",
      value: { $typeName: "parley.signaling.v1.SetHandRaised", raised, participant },
    });
  }

  /** Show a reaction to everyone, ourselves included. */
  async react(emoji: string): Promise<void> {
    await this.#signaling.ask({ case: "sendReaction", value: { $typeName: "parley.signaling.v1.SendReaction", emoji } });
  }

  /** Have everyone told of a change of the shared notes. */
  readonly updateNotes = async (update: Uint8Array): Promise<void> => {
    await this.#signaling.ask({ case: "updateNotes", value: { $typeName: "parley.signaling.v1.UpdateNotes", update } });
  };

  /** Take in settings that the server answered with; what it tells in the conversation comes by itself. */
  readonly learn = (settings: Settings): void => {
    this.#change({ settings });
  };

  /** Take in who waits in the lobby, as asked for when we came; what changes then is told. */
  readonly learnWaiting = (waiting: readonly Participant[]): void => {
    this.#change({ waiting });
  };

  leave(): void {
    if (this.state.phase === "over") return;
    this.#change({ ending: "left" });
    this.#signaling.leave();
  }

  /** Build the way of the media from the beginning. */
  buildMedia(): Promise<void> {
    return this.#plane.build();
  }

  /** What is counted of what we send, and of what we receive. */
  getStats(): Promise<RTCStatsReport[]> {
    return this.#plane.getStats();
  }

  /** What is behind one of our own tracks, by its MediaStreamTrack's id. */
  ownSource(trackIdentifier: string): Source | undefined {
    return SOURCES.find((source) => this.#plane.own[source]?.id === trackIdentifier);
  }

  #said(message: Said, time: number): void {
    this.#change(changes(this.state, message));
    this.heard.said(message, time);
    this.reactions.said(message);
    for (const listener of [...this.#overhearing]) listener(message);
    switch (message.case) {
      case "joined": // in answer to our resume: nothing that we knew is to be relied on
        this.#change({ ...EMPTY, settings: this.state.settings, meeting: this.state.meeting, ...entered(message.value) });
        this.#grant();
        void this.buildMedia();
        break;
      case "participantJoined":
      case "participantLeft":
        this.encryption?.rotate();
        break;
      case "participantUpdated":
        if (message.value.participant?.name === this.state.me) this.#grant();
        break;
      case "trackPublished":
      case "trackUpdated":
        if (message.value.track !== undefined) this.#tracked(message.value.track);
        break;
      case "subscribeOffer":
        this.#plane.offered(message.value);
        break;
      case "layersWanted":
        this.#plane.watched(message.value.trackId, message.value.rids);
        break;
      case "mediaReset":
        void this.buildMedia();
        break;
      case "mediaMoving":
        void this.#plane.move(message.value.notice === undefined ? 0 : durationMs(message.value.notice));
        break;
      case "meetingEnded":
        this.#change({ ending: "ended" });
        break;
      case "disconnected":
        this.#change({ ending: ENDINGS[message.value.reason] ?? "removed" });
        break;
      default:
        break;
    }
  }

  #tracked(track: Track): void {
    this.encryption?.published(track);
    if (track.participant !== this.state.me) return;
    const source = this.#plane.heard(track.id, track.muted);
    if (source !== undefined) this.#silence(source);
  }

  /** Send what we may, as the room knows it now. What was taken away is not sent by itself when it is given back. */
  #grant(): void {
    const granted = grantedTo(ownOf(this.state));
    const taken = SOURCES.filter((source) => this.#plane.granted.has(source) && !granted.has(source));
    this.#plane.grant(granted).catch((error: unknown) => console.warn("not published", error));
    for (const source of taken) if (this.#plane.own[source]) this.#silence(source);
  }

  #silence(source: Source, by: Silenced["by"] = "host"): void {
    const own = this.#plane.own[source];
    if (own) own.enabled = false;
    this.#change({ silenced: { source, by, count: (this.state.silenced?.count ?? 0) + 1 } });
  }

  #over(error: ConnectError | undefined): void {
    this.#unwatch();
    removeEventListener("pagehide", this.#leaving);
    this.wishes.stop();
    this.reactions.stop();
    this.#plane.close();
    this.encryption?.close();
    this.#change({ phase: "over", error, ending: this.state.ending ?? (this.state.me === "" ? "failed" : "lost") });
  }

  #online(): void {
    this.#signaling.hurry();
    this.#plane.restart();
  }

  /** Browsers tell of any change of speed, too: only where the path is broken is that taken for another network. */
  #networkChanged(certain: boolean): void {
    if (certain || this.#plane.isBroken) this.#plane.restart();
  }

  readonly #leaving = (): void => this.leave();

  #change(change: Partial<CallState>): void {
    this.state = { ...this.state, ...change };
    if (change.tracks !== undefined || change.media !== undefined) this.#attune();
    for (const listener of [...this.#listeners]) listener();
  }

  /** Have the wishes follow the tracks of the others, and the way by which they come. */
  #attune(): void {
    const pictures = newest(this.state).filter((track) => kindOf(sourceOf(track)) === "video");
    this.wishes.of(pictures.filter(({ participant }) => participant !== this.state.me).map(({ id }) => id));
    this.wishes.setReady(this.state.media !== "building" && this.state.media !== "failed");
  }
}
