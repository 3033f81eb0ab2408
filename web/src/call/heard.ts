/**
 * What machines make of a call: captions, what one's own face shows, the mood of the room. It changes several times a
 * second, so that it is a state of its own, for those to subscribe to who show it.
 */
import type { EmotionDetected, RoomMood } from "../gen/parley/signaling/v1/signaling_pb";
import { captioned, type Line } from "./captions";
import type { Said } from "./signaling";

export interface Findings {
  readonly lines: readonly Line[];
  /** What our own face shows; nobody else is told. */
  readonly emotion: EmotionDetected | undefined;
  /** What faces show on average; told to hosts alone. */
  readonly mood: RoomMood | undefined;
}

export class Heard {
  #findings: Findings = { lines: [], emotion: undefined, mood: undefined };
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly snapshot = (): Findings => this.#findings;

  /** Take in what the server said, if it is of this kind. */
  said(message: Said, time: number): void {
    switch (message.case) {
      case "caption":
        this.#change({ lines: captioned(this.#findings.lines, message.value, Date.now(), time) });
        break;
      case "emotionDetected":
        this.#change({ emotion: message.value });
        break;
      case "roomMood":
        this.#change({ mood: message.value });
        break;
      case "settingsChanged":
        // What was read last is not true for longer.
        if (message.value.settings?.emotions !== true) this.#change({ emotion: undefined, mood: undefined });
        break;
      default:
        break;
    }
  }

  #change(change: Partial<Findings>): void {
    this.#findings = { ...this.#findings, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}
