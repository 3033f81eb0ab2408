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
import { Publisher } from "./publisher";
import { type Said, Signaling } from "./signaling";
import { Subscriber } from "./subscriber";

export type Phase = "joining" | "live" | "reconnecting" | "over";
export type Ending = "left" | "ended" | "replaced" | "removed" | "lost" | "failed";

export interface CallState {
  readonly phase: Phase;
  readonly ending: Ending | undefined;
  readonly error: ConnectError | undefined;
  readonly me: string;
  readonly participants: readonly Participant[];
  readonly tracks: readonly Track[];
  readonly received: ReadonlyMap<string, MediaStreamTrack>;
  readonly speakers: ReadonlySet<string>;
}

export interface OwnMedia {
  readonly audio: MediaStreamTrack | null;
  readonly video: MediaStreamTrack | null;
}

const ENDINGS: Partial<Record<DisconnectReason, Ending>> = {
  [DisconnectReason.LEFT]: "left",
  [DisconnectReason.REPLACED]: "replaced",
  [DisconnectReason.REMOVED]: "removed",
};
const MEDIA_TRIES = 5;
const MEDIA_RETRY_MS = 1_000;

export class Call {
  state: CallState = {
    phase: "joining",
    ending: undefined,
    error: undefined,
    me: "",
    participants: [],
    tracks: [],
    received: new Map(),
    speakers: new Set(),
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
  ) {
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
    await this.#buildMedia();
  }

  /** Send another camera or microphone, or none. */
  async setOwn(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<void> {
    this.#own = { ...this.#own, [kind]: track };
    await this.#publisher?.set(kind, track);
  }

  /** The track stays, and is silent. */
  async mute(kind: "audio" | "video", muted: boolean): Promise<void> {
    const track = this.#own[kind];
    if (track !== null) track.enabled = !muted;
    await this.#publisher?.mute(kind, muted);
  }

  leave(): void {
    this.#change({ ending: "left" });
    this.#signaling.leave();
  }

  /** Build both connections; again from the beginning whenever the media node has changed. */
  async #buildMedia(): Promise<void> {
    const building = ++this.#building;
    for (let attempt = 0; attempt < MEDIA_TRIES && building === this.#building; attempt++) {
      this.#publisher?.close();
      this.#subscriber?.close();
      this.#subscriber = new Subscriber(this.#signaling, this.#iceServers, (received) => this.#change({ received }));
      this.#publisher = new Publisher(this.#signaling, this.#iceServers);
      try {
        await this.#signaling.ask({
          case: "startMedia",
          value: { $typeName: "parley.signaling.v1.StartMedia" },
        });
        for (const kind of ["audio", "video"] as const) await this.#publisher.set(kind, this.#own[kind]);
        return;
      } catch (error) {
        if (this.state.phase === "over") return;
        console.warn("media not built", error);
        await new Promise((resolve) => setTimeout(resolve, MEDIA_RETRY_MS));
      }
    }
  }

  #said(message: Said): void {
    const { participants, tracks } = this.state;
    switch (message.case) {
      case "participantJoined": {
        const joined = message.value.participant;
        if (joined === undefined) break;
        this.#change({ participants: [...participants.filter(({ name }) => name !== joined.name), joined] });
        break;
      }
      case "participantLeft": {
        const gone = message.value.participant;
        this.#change({
          participants: participants.filter(({ name }) => name !== gone),
          tracks: tracks.filter(({ participant }) => participant !== gone),
        });
        break;
      }
      case "trackPublished":
      case "trackUpdated": {
        const track = message.value.track;
        if (track === undefined) break;
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
        void this.#buildMedia();
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

  #over(error: ConnectError | undefined): void {
    removeEventListener("online", this.#online);
    removeEventListener("pagehide", this.#leaving);
    this.#building++;
    this.#publisher?.close();
    this.#subscriber?.close();
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
