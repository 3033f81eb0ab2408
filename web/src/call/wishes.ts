/**
 * What we wish to see: each video track by the size at which it is shown, the rest not at all. Told to the server in
 * batches, a moment after the last change, and only what has changed since it was last told.
 */
import { reasonOf } from "../api/errors";
import type { TrackSubscription } from "../gen/parley/signaling/v1/signaling_pb";
import type { ToSay } from "./signaling";

/** Sizes are in device pixels; of two wishes that can't both be met the one of higher priority (0 to 100) is. */
export interface Wish {
  readonly width: number;
  readonly height: number;
  readonly priority: number;
}

const SETTLE_MS = 200;
const RETRY_MS = 2_000;
const BATCH = 500;
const MAX_WIDTH = 7680;
const MAX_HEIGHT = 4320;

type Ask = (message: ToSay) => Promise<unknown>;

export class Wishes {
  readonly #shown = new Map<string, Wish>();
  #trackIds: readonly string[] = [];
  /** What the server knows, as text, by track id. */
  #told = new Map<string, string>();
  #ready = false;
  #hidden = false;
  #refused = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ask: Ask) {}

  /** Show a track at a size, until it is hidden or shown otherwise. */
  show(trackId: string, wish: Wish): void {
    this.#shown.set(trackId, wish);
    this.#soon();
  }

  hide(trackId: string): void {
    if (this.#shown.delete(trackId)) this.#soon();
  }

  /** Take note of the video tracks that there are; those that nobody shows are paused. */
  of(trackIds: readonly string[]): void {
    if (trackIds.join(" ") === this.#trackIds.join(" ")) return;
    this.#trackIds = trackIds;
    this.#told = new Map([...this.#told].filter(([trackId]) => trackIds.includes(trackId)));
    this.#soon();
  }

  /** Whether the page can be seen at all. */
  setPageHidden(hidden: boolean): void {
    this.#hidden = hidden;
    this.#soon();
  }

  /** Whether there is a media node to be told. */
  setReady(ready: boolean): void {
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#soon();
  }

  /** The media node is another one, and knows nothing. */
  again(): void {
    this.#told.clear();
    this.#soon();
  }

  stop(): void {
    this.#refused = true;
    clearTimeout(this.#timer);
  }

  #soon(milliseconds = SETTLE_MS): void {
    clearTimeout(this.#timer);
    if (this.#ready && !this.#refused) this.#timer = setTimeout(() => void this.#tell(), milliseconds);
  }

  async #tell(): Promise<void> {
    const changed = this.#trackIds
      .map((trackId) => this.#subscription(trackId))
      .filter((each) => this.#told.get(each.trackId) !== JSON.stringify(each))
      .slice(0, BATCH);
    if (changed.length === 0) return;
    for (const each of changed) this.#told.set(each.trackId, JSON.stringify(each));
    try {
      await this.ask({
        case: "setSubscriptions",
        value: { $typeName: "parley.signaling.v1.SetSubscriptions", subscriptions: changed },
      });
      if (changed.length === BATCH) this.#soon();
    } catch (error) {
      this.#failed(changed, error);
    }
  }

  #failed(untold: readonly TrackSubscription[], error: unknown): void {
    if (reasonOf(error) === "NOT_IMPLEMENTED") this.#refused = true;
    for (const { trackId } of untold) this.#told.delete(trackId);
    this.#soon(RETRY_MS);
  }

  #subscription(trackId: string): TrackSubscription {
    const wish = this.#hidden ? undefined : this.#shown.get(trackId);
    return {
      $typeName: "parley.signaling.v1.TrackSubscription",
      trackId,
      paused: wish === undefined,
      width: Math.min(Math.round(wish?.width ?? 0), MAX_WIDTH),
      height: Math.min(Math.round(wish?.height ?? 0), MAX_HEIGHT),
      priority: wish?.priority ?? 0,
    };
  }
}
