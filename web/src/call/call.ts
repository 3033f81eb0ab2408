/**
 * A call, from the ticket to the last word: who is in it, what they send, who speaks. No pages and no React: the
 * interface subscribes to `state`, which is replaced, never changed.
 */
import type { Client, ConnectError } from "@connectrpc/connect";
import type { JoinMeetingResponse, Participant } from "../gen/parley/meeting/v1/meeting_pb";
import {
  DisconnectReason,
  type SignalingService,
  type Track,
  TrackKind,
} from "../gen/parley/signaling/v1/signaling_pb";
import type { Encryption } from "./e2ee/encryption";
import { type Kind, type OwnMedia, Publisher } from "./publisher";
import { type Said, Signaling } from "./signaling";
import { Subscriber } from "./subscriber";

export type Phase = "joining" | "live" | "reconnecting" | "over";
export type Ending = "left" | "ended" | "replaced" | "removed" | "lost" | "failed";

/** Whether sound and pictures have a way: not yet, yes, not now, or not after all that was tried. */
export type MediaPath = "building" | "up" | "interrupted" | "failed";

/** Somebody came or went; `count` tells one from the next. */
export interface News {
  readonly kind: "joined" | "left";
  readonly displayName: string;
  readonly count: number;
}

export interface CallState {
  readonly phase: Phase;
  readonly media: MediaPath;
  readonly ending: Ending | undefined;
  readonly error: ConnectError | undefined;
  readonly me: string;
  readonly participants: readonly Participant[];
  readonly tracks: readonly Track[];
  readonly received: ReadonlyMap<string, MediaStreamTrack>;
  readonly speakers: ReadonlySet<string>;
  /** Whose streams can't be decrypted, in an encrypted call: by `streamName` of their tracks. */
  readonly undecryptable: ReadonlySet<string>;
  readonly news: News | undefined;
}

const ENDINGS: Partial<Record<DisconnectReason, Ending>> = {
  [DisconnectReason.LEFT]: "left",
  [DisconnectReason.REPLACED]: "replaced",
  [DisconnectReason.REMOVED]: "removed",
};
const MEDIA_TRIES = 5;
const MEDIA_RETRY_MS = 500;

export class Call {
  state: CallState = {
    phase: "joining",
    media: "building",
    ending: undefined,
    error: undefined,
    me: "",
    participants: [],
    tracks: [],
    received: new Map(),
    speakers: new Set(),
    undecryptable: new Set(),
    news: undefined,
  };
  readonly #listeners = new Set<() => void>();
  readonly #signaling: Signaling;
  readonly #iceServers: RTCIceServer[];
  #publisher: Publisher | undefined;
  #subscriber: Subscriber | undefined;
  #own: OwnMedia;
  #building = 0;

  constructor(
    client: Client<typeof SignalingService>,
    private readonly admission: JoinMeetingResponse,
    own: OwnMedia,
    /** What an encrypted call is encrypted with. */
    private readonly encryption?: Encryption,
  ) {
    if (encryption !== undefined) encryption.changed = (undecryptable) => this.#change({ undecryptable });
    this.#own = own;
    this.#iceServers = admission.iceServers.map(({ urls, username, credential }) => ({ urls, username, credential }));
    this.#signaling = new Signaling(client, {
      said: (message) => this.#said(message),
      connected: (connected) => this.#change({ phase: connected ? "live" : "reconnecting" }),
      over: (error) => this.#over(error),
    });
    addEventListener("online", this.#online);
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

  async start(): Promise<void> {
    const joined = await this.#signaling.join(this.admission.ticket);
    this.#change({
      phase: "live",
      me: joined.participant?.name ?? "",
      participants: joined.participants,
      tracks: joined.tracks,
      speakers: new Set(joined.speakers),
    });
    await this.buildMedia();
  }

  /** Send another camera or microphone, or none. */
  async setOwn(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    if (track === this.#own[kind]) return;
    this.#own = { ...this.#own, [kind]: track };
    await this.#publisher?.set(kind, track);
  }

  /** The track stays, and is silent. */
  async mute(kind: Kind, muted: boolean): Promise<void> {
    const track = this.#own[kind];
    if (track !== null) track.enabled = !muted;
    await this.#publisher?.mute(kind, muted);
  }

  leave(): void {
    if (this.state.phase === "over") return;
    this.#change({ ending: "left" });
    this.#signaling.leave();
  }

  /** Build both connections; again from the beginning whenever the media node has changed, or somebody asks. */
  async buildMedia(): Promise<void> {
    const building = ++this.#building;
    this.#change({ media: "building" });
    for (let attempt = 0; attempt < MEDIA_TRIES; attempt++) {
      const publisher = this.#newConnections();
      try {
        await this.#signaling.ask({
          case: "startMedia",
          value: { $typeName: "parley.signaling.v1.StartMedia" },
        });
        await publisher.start(this.#own);
        if (building === this.#building) this.#change({ media: "up" });
        return;
      } catch (error) {
        console.warn("media not built", error);
        await new Promise((resolve) => setTimeout(resolve, MEDIA_RETRY_MS * 2 ** attempt * (0.75 + Math.random() / 2)));
      }
      if (building !== this.#building) return;
    }
    this.#change({ media: "failed" });
  }

  #newConnections(): Publisher {
    this.#publisher?.close();
    this.#subscriber?.close();
    const moved = (): void => this.#mediaMoved();
    this.#subscriber = new Subscriber(this.#signaling, this.#iceServers, {
      received: (received) => this.#change({ received }),
      arrived: (trackId, receiver) =>
        this.encryption?.arrived(trackId, receiver, this.state.tracks.find(({ id }) => id === trackId)),
      moved,
    });
    this.#publisher = new Publisher(this.#signaling, this.#iceServers, moved, (transceiver, source) =>
      this.encryption?.made(transceiver, source),
    );
    return this.#publisher;
  }

  #mediaMoved(): void {
    const { media } = this.state;
    if (media !== "up" && media !== "interrupted") return;
    const states = [this.#publisher?.state, this.#subscriber?.state];
    const broken = states.some((state) => state === "disconnected" || state === "failed");
    this.#change({ media: broken ? "interrupted" : "up" });
  }

  #said(message: Said): void {
    const { participants, tracks } = this.state;
    switch (message.case) {
      case "participantJoined": {
        const joined = message.value.participant;
        if (joined === undefined) break;
        this.encryption?.rotate();
        this.#change({
          participants: [...participants.filter(({ name }) => name !== joined.name), joined],
          news: this.#news("joined", joined) ?? this.state.news,
        });
        break;
      }
      case "participantLeft": {
        const gone = message.value.participant;
        this.encryption?.rotate();
        this.#change({
          participants: participants.filter(({ name }) => name !== gone),
          tracks: tracks.filter(({ participant }) => participant !== gone),
          news: this.#news("left", participants.find(({ name }) => name === gone)) ?? this.state.news,
        });
        break;
      }
      case "trackPublished":
      case "trackUpdated": {
        const track = message.value.track;
        if (track === undefined) break;
        this.encryption?.published(track);
        this.#change({ tracks: [...tracks.filter(({ id }) => id !== track.id), track] });
        break;
      }
      case "trackUnpublished": {
        const gone = message.value.trackId;
        this.#change({ tracks: tracks.filter(({ id }) => id !== gone) });
        break;
      }
      case "speakersChanged":
        this.#change({ speakers: new Set(message.value.speakers) });
        break;
      case "subscribeOffer":
        this.#subscriber?.offered(message.value);
        break;
      case "mediaReset":
        this.#change({ tracks: [], speakers: new Set(), received: new Map() });
        void this.buildMedia();
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

  #news(kind: News["kind"], participant: Participant | undefined): News | undefined {
    if (participant === undefined || participant.name === this.state.me) return undefined;
    return { kind, displayName: participant.displayName, count: (this.state.news?.count ?? 0) + 1 };
  }

  #over(error: ConnectError | undefined): void {
    removeEventListener("online", this.#online);
    removeEventListener("pagehide", this.#leaving);
    this.#building++;
    this.#publisher?.close();
    this.#subscriber?.close();
    this.encryption?.close();
    this.#change({ phase: "over", error, ending: this.state.ending ?? (this.state.me === "" ? "failed" : "lost") });
  }

  readonly #online = (): void => this.#signaling.hurry();
  readonly #leaving = (): void => this.leave();

  #change(change: Partial<CallState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The track of a participant that a tile shows or plays. */
export function trackOf(state: CallState, participant: string, kind: TrackKind): Track | undefined {
  return state.tracks.find((track) => track.participant === participant && track.kind === kind);
}
