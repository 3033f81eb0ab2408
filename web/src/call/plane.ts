/**
 * The way of our media: one path, and for the time of a move two. What is built is built from our own tracks as they
 * are at that moment; whoever asks for another path while one is being built gets the later one alone.
 */
import type { SubscribeOffer } from "../gen/parley/signaling/v1/signaling_pb";
import { Path, type Seams } from "./path";
import type { Signaling } from "./signaling";
import type { OwnMedia, Source } from "./sources";

/** Whether sound and pictures have a way: not yet, yes, not now, or not after all that was tried. */
export type MediaState = "building" | "up" | "interrupted" | "failed";

const TRIES = 5;
const RETRY_MS = 500;
/** How often a new path is asked what comes by it, until all that came by the old one does. */
const POLL_MS = 200;
/** The old path goes on for so long after that: others may be slower than we are, and see us by it. */
const LINGER_MS = 3_000;

export interface PlaneListener extends Seams {
  changed(state: MediaState): void;
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
  #state: MediaState = "building";
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
    this.#change("building");
    this.#keep([]);
    const path = await this.#open(turn, Infinity);
    if (turn === this.#turn) this.#change(path === undefined ? "failed" : "up");
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
    await Promise.all(this.#paths.map(({ publisher }) => publisher.set(source, track)));
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
    if (this.#state === "up" || this.#state === "interrupted") this.#paths.at(-1)?.restart();
  }

  get isBroken(): boolean {
    return this.#state === "interrupted";
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

  /** Open a path, again and again; undefined when it can't be had, or is not wanted any more. */
  async #open(turn: number, deadline: number): Promise<Path | undefined> {
    const others = this.#paths;
    for (let attempt = 0; attempt < TRIES && turn === this.#turn && Date.now() < deadline; attempt++) {
      const path = new Path(this.signaling, this.iceServers, {
        moved: () => this.#moved(),
        received: () => this.#tell(),
        made: (transceiver, source) => this.listener.made?.(transceiver, source),
        arrived: (trackId, receiver) => this.listener.arrived?.(trackId, receiver),
      });
      this.#paths = [...others, path];
      try {
        await path.open(this.own);
        this.listener.opened();
        return path;
      } catch (error) {
        console.warn("media not built", error);
        await pause(RETRY_MS * 2 ** attempt * (0.75 + Math.random() / 2));
      }
      if (turn === this.#turn) this.#keep(others);
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
    this.#tell();
  }

  #tell(): void {
    const received = this.#paths.flatMap(({ subscriber }) => [...subscriber.received]);
    this.listener.received(new Map(received), this.#arrived);
  }

  #moved(): void {
    if (this.#state !== "up" && this.#state !== "interrupted") return;
    this.#change(this.#paths.every(({ isBroken }) => isBroken) ? "interrupted" : "up");
  }

  #change(state: MediaState): void {
    this.#state = state;
    this.listener.changed(state);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
