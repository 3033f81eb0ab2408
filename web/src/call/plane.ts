/**
 * The way of our media: one path, and for the time of a move two. What is built is built from our own tracks as they
 * are at that moment; whoever asks for another path while one is being built gets the later one alone.
 */
import { ConnectError } from "@connectrpc/connect";
import { reasonOf, retryMs } from "../api/errors";
import type { SubscribeOffer } from "../gen/parley/signaling/v1/signaling_pb";
import { Path, type Seams } from "./path";
import type { Signaling } from "./signaling";
import { type OwnMedia, type Source, SOURCES } from "./sources";

/**
 * Whether sound and pictures have a way: not yet, yes, not now, not for so long that nothing may get through, or none
 * was to be had after all that was tried. What is interrupted or blocked is looked for on and on.
 */
export type MediaState = "building" | "up" | "interrupted" | "blocked" | "failed";

const TRIES = 5;
const RETRY_MS = 500;
/** What no trying helps against: somebody has to leave first. */
const FINAL = "ROOM_FULL";
/** Without a connection for so long we are blocked: by then a way over TCP or a relay has been tried as well. */
const BLOCKED_MS = 15_000;
/** How often a new path is asked what comes by it, until all that came by the old one does. */
const POLL_MS = 200;
/** The media node learns a little later than we do what we may send. */
const NOT_YET = "NOT_GRANTED";
/** The old path goes on for so long after that: others may be slower than we are, and see us by it. */
const LINGER_MS = 3_000;

export interface PlaneListener extends Seams {
  /** `refusal` is why the path could not be had when it was last tried, while there is none. */
  changed(state: MediaState, refusal: ConnectError | undefined): void;
  /** A path was opened, on a media node that knows no more of us than what we publish. */
  opened(): void;
  /** Tracks by their ids in the room; `arrived` are those of a new path of which something has come. */
  received(received: ReadonlyMap<string, MediaStreamTrack>, arrived: ReadonlySet<string>): void;
  /** Whether all of `coming`, which still come by the old path, are to be had by the new one: `arrived`. */
  isMoved(coming: ReadonlySet<string>, arrived: ReadonlySet<string>): boolean;
}

export class Plane {
  /** At most two; the last is the one to which the server listens. */
  #paths: Path[] = [];
  #arrived: ReadonlySet<string> = new Set();
  #granted: ReadonlySet<Source> = new Set(SOURCES);
  #state: MediaState = "building";
  #refusal: ConnectError | undefined;
  #blocking: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;

  constructor(
    private readonly signaling: Signaling,
    private readonly iceServers: RTCIceServer[],
    private readonly listener: PlaneListener,
    public own: OwnMedia,
  ) {}

  /** Build the path from the beginning; no other is left. */
  async build(): Promise<void> {
    const turn = ++this.#turn;
    this.#refusal = undefined;
    this.#change("building");
    this.#keep([]);
    const path = await this.#open(turn, Infinity);
    if (turn !== this.#turn) return;
    this.#change(path === undefined ? "failed" : "up");
    this.#moved();
  }

  /**
   * Build a second path, and close the first when all that came by it comes by the second; after `notice`
   * milliseconds in any case, for then it is gone.
   */
  async move(notice: number): Promise<void> {
    const old = this.#paths.at(-1);
    if (old === undefined || this.#state === "building" || this.#state === "failed") return this.build();
    const turn = ++this.#turn;
    const deadline = Date.now() + notice;
    this.#keep([old]);
    old.retire();
    const path = await this.#open(turn, deadline);
    if (turn !== this.#turn) return;
    if (path === undefined) return this.build();
    await this.#overlap(turn, old, path, deadline);
    if (turn !== this.#turn) return;
    this.#keep([path]);
    this.#moved();
  }

  offered(offer: SubscribeOffer): void {
    for (const path of [...this.#paths].reverse()) if (path.offered(offer)) return;
  }

  async set(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (track === (this.own[source] ?? null)) return;
    this.own = { ...this.own, [source]: track };
    if (this.#granted.has(source)) await Promise.all(this.#paths.map(({ publisher }) => publisher.set(source, track)));
  }

  /** We may send these sources from now on, and no others. */
  async grant(granted: ReadonlySet<Source>): Promise<void> {
    const before = this.#granted;
    this.#granted = granted;
    for (const source of SOURCES)
      if (before.has(source) && !granted.has(source))
        await Promise.all(this.#paths.map(({ publisher }) => publisher.withdraw(source)));
      else if (granted.has(source) && !before.has(source)) await this.#restore(source);
  }

  /** Take in what the room says of a track of ours. Returns its source if somebody else has muted it. */
  heard(trackId: string, muted: boolean): Source | undefined {
    const sources = this.#paths.map(({ publisher }) => publisher.heard(trackId, muted));
    return sources.find((source) => source !== undefined);
  }

  async mute(source: Source, muted: boolean): Promise<void> {
    const track = this.own[source];
    if (track) track.enabled = !muted;
    await Promise.all(this.#paths.map(({ publisher }) => publisher.mute(source, muted)));
  }

  watched(trackId: string, rids: readonly string[]): void {
    for (const { publisher } of this.#paths) publisher.watched(trackId, rids);
  }

  retune(source: Source): void {
    for (const { publisher } of this.#paths) publisher.retune(source);
  }

  /** The network is another one. */
  restart(): void {
    if (this.#isBuilt()) this.#paths.at(-1)?.restart();
  }

  get isBroken(): boolean {
    return this.#state === "interrupted" || this.#state === "blocked";
  }

  /** What the path's two connections count, what is sent before what is received. */
  async getStats(): Promise<RTCStatsReport[]> {
    const path = this.#paths.at(-1);
    if (path === undefined) return [];
    return Promise.all([path.publisher.getStats(), path.subscriber.getStats()]);
  }

  close(): void {
    this.#turn++;
    this.#keep([]);
  }

  /** What we may send. */
  get granted(): ReadonlySet<Source> {
    return this.#granted;
  }

  /** What of our own we may send. */
  get #given(): OwnMedia {
    return Object.fromEntries(Object.entries(this.own).filter(([source]) => this.#granted.has(source as Source)));
  }

  /** Send again what was taken away from us. */
  async #restore(source: Source): Promise<void> {
    for (let attempt = 0; this.#granted.has(source); attempt++)
      try {
        await Promise.all(this.#paths.map(({ publisher }) => publisher.set(source, this.own[source] ?? null)));
        return;
      } catch (error) {
        if (reasonOf(error) !== NOT_YET || attempt + 1 >= TRIES) throw error;
        await pause(RETRY_MS * 2 ** attempt);
      }
  }

  /** Open a path, again and again, no sooner than the server says; undefined when it can't be had, or is not wanted any more. */
  async #open(turn: number, deadline: number): Promise<Path | undefined> {
    const others = this.#paths;
    for (let attempt = 0; attempt < TRIES && turn === this.#turn && Date.now() < deadline; attempt++) {
      const path = new Path(this.signaling, this.iceServers, {
        moved: () => this.#moved(),
        received: () => this.#tell(),
        made: (transceiver, source) => this.listener.made?.(transceiver, source),
        silenced: (source) => this.listener.silenced?.(source),
        arrived: (trackId, receiver) => this.listener.arrived?.(trackId, receiver),
      });
      this.#paths = [...others, path];
      try {
        await path.open(this.#given);
        this.#refusal = undefined;
        this.listener.opened();
        return path;
      } catch (error) {
        console.warn("media not built", error);
        if (turn !== this.#turn) return undefined;
        this.#keep(others);
        this.#refusal = error instanceof ConnectError ? error : undefined;
        if (reasonOf(error) === FINAL || attempt + 1 === TRIES) return undefined;
        this.#change(this.#state);
        await pause(Math.max(RETRY_MS * 2 ** attempt, retryMs(error)) * (1 + Math.random() / 2));
      }
    }
    return undefined;
  }

  /** Wait until the new path has taken over, or until the old one is gone. */
  async #overlap(turn: number, old: Path, path: Path, deadline: number): Promise<void> {
    while (turn === this.#turn && Date.now() < deadline) {
      const [coming, arrived] = await Promise.all([old.subscriber.delivering(), path.subscriber.delivering()]);
      if (turn !== this.#turn) return;
      this.#arrived = arrived;
      this.#tell();
      if (this.listener.isMoved(coming, arrived)) return pause(Math.min(LINGER_MS, deadline - Date.now()));
      await pause(POLL_MS);
    }
  }

  /** Close all paths but these. */
  #keep(kept: Path[]): void {
    const closing = this.#paths.filter((path) => !kept.includes(path));
    this.#paths = kept;
    for (const path of closing) path.close();
    if (kept.length < 2) this.#arrived = new Set();
    if (kept.length === 0) this.#unblock();
    this.#tell();
  }

  #tell(): void {
    const received = this.#paths.flatMap(({ subscriber }) => [...subscriber.received]);
    this.listener.received(new Map(received), this.#arrived);
  }

  #moved(): void {
    if (!this.#isBuilt()) return;
    const isThrough = this.#paths.some((path) => path.isThrough);
    if (isThrough) this.#unblock();
    else this.#blocking ??= setTimeout(() => this.#change("blocked"), BLOCKED_MS);
    if (this.#state === "blocked" && !isThrough) return;
    this.#change(this.#paths.every(({ isBroken }) => isBroken) ? "interrupted" : "up");
  }

  #unblock(): void {
    clearTimeout(this.#blocking);
    this.#blocking = undefined;
  }

  #isBuilt(): boolean {
    return this.#state !== "building" && this.#state !== "failed";
  }

  #change(state: MediaState): void {
    this.#state = state;
    this.listener.changed(state, this.#refusal);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
