/** Reactions that are shown for a moment: the newest few, each until its time is over. */
import type { Said } from "./signaling";

export const SHOWN_MS = 4_000;
const MOST = 12;

/** What people may react with. */
export const EMOJI = ["👍", "👏", "❤️", "😂", "😮", "🎉"] as const;

export interface Shown {
  /** Tells one from the next. */
  readonly key: number;
  /** `meetings/{code}/participants/{id}`. */
  readonly participant: string;
  readonly emoji: string;
}

export class Reactions {
  #shown: readonly Shown[] = [];
  #count = 0;
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly snapshot = (): readonly Shown[] => this.#shown;

  /** Take in what the server said, if it is a reaction. */
  said(message: Said): void {
    if (message.case !== "reaction") return;
    const key = ++this.#count;
    const { participant, emoji } = message.value;
    this.#timers.set(key, setTimeout(() => this.#hide(key), SHOWN_MS));
    this.#change([...this.#shown, { key, participant, emoji }].slice(-MOST));
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#change([]);
  }

  #hide(key: number): void {
    this.#timers.delete(key);
    this.#change(this.#shown.filter((each) => each.key !== key));
  }

  #change(shown: readonly Shown[]): void {
    this.#shown = shown;
    for (const listener of [...this.#listeners]) listener();
  }
}
