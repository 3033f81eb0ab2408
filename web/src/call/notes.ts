/**
 * The notes that a meeting's participants write together: a Yjs document, whose Y.Text `notes` is the text. What others
 * write is merged as it comes; what we write is sent a moment later, in order, one update at a time.
 */
import type { Client } from "@connectrpc/connect";
import { applyUpdate, Doc, encodeStateAsUpdate, encodeStateVectorFromUpdate, mergeUpdates, type YTextEvent } from "yjs";
import { reasonOf, retryMs } from "../api/errors";
import type { ReportService } from "../gen/parley/meeting/v1/report_pb";
import { chunks, type Delta, difference, moved } from "./edits";
import type { Said } from "./signaling";

/** The server takes 64 KiB in an update. */
const MOST_BYTES = 60_000;
/** What is put in at once, in UTF-16 units: three bytes each at most. */
const CHUNK = 8_000;
const SETTLE_MS = 200;
const RETRY_MS = 2_000;
/** What may be otherwise the next time, without anybody's doing. */
const TRANSIENT = ["UNAVAILABLE", "DEADLINEEXCEEDED", "RATE_LIMITED", "UNKNOWN", "RESOURCEEXHAUSTED"];
const REMOTE = "remote";

export interface NotesState {
  readonly isLoading: boolean;
  /** Whether they are read, and can be written. */
  readonly isReady: boolean;
  /** Whether something that we wrote has not arrived yet. */
  readonly isUnsent: boolean;
  /** Why they could not be read, or what we wrote does not arrive. */
  readonly error: unknown;
}

export class Notes {
  state: NotesState = { isLoading: false, isReady: false, isUnsent: false, error: undefined };
  readonly #document = new Doc();
  readonly #text = this.#document.getText("notes");
  #queue: Uint8Array[] = [];
  #isSending = false;
  #isStopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #watchers = new Set<(change: Delta) => void>();

  constructor(
    private readonly client: Client<typeof ReportService>,
    /** `meetings/{code}`. */
    private readonly meeting: string,
    /** Says an update in the conversation; rejects when it is refused. */
    private readonly say: (update: Uint8Array) => Promise<unknown>,
  ) {
    this.#document.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin === REMOTE) return;
      this.#queue.push(update);
      this.#change({ isUnsent: true });
      this.#soon(SETTLE_MS);
    });
    this.#text.observe((event: YTextEvent) => {
      if (event.transaction.origin !== REMOTE) return;
      for (const watcher of [...this.#watchers]) watcher(event.delta);
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly snapshot = (): NotesState => this.state;

  /** Have changes by others told to somebody, each when the text has it, until what is returned is called. */
  readonly watch = (watcher: (change: Delta) => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  get text(): string {
    return this.#text.toJSON();
  }

  /** Take in what the server said, if it is of the notes. */
  readonly said = (said: Said): void => {
    // A conversation that had to begin anew has missed something.
    if (said.case === "joined") void this.enter();
    if (said.case === "notesUpdated") applyUpdate(this.#document, said.value.update, REMOTE);
  };

  /** Read what was written before we came. */
  async enter(): Promise<void> {
    if (this.state.isLoading) return;
    this.#change({ isLoading: true, error: undefined });
    try {
      await this.#read();
      this.#change({ isLoading: false, isReady: true });
    } catch (error) {
      this.#change({ isLoading: false, error });
    }
  }

  /** Make the change that made `after` of `before`, which others have changed meanwhile, in the order of `missed`. */
  write(before: string, after: string, missed: readonly Delta[] = []): void {
    const { start, removed, inserted } = difference(before, after);
    const move = (place: number) => missed.reduce(moved, place);
    const [from, to] = [move(start), move(start + removed)];
    if (to > from) this.#text.delete(from, to - from);
    let place = from;
    for (const piece of chunks(inserted, CHUNK)) {
      this.#text.insert(place, piece);
      place += piece.length;
    }
  }

  /** Send what we wrote now. */
  flush(): void {
    this.#soon(0);
  }

  /** Send nothing more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #soon(milliseconds: number): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#send(), milliseconds);
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      while (this.#queue.length > 0) {
        const count = fitting(this.#queue);
        await this.say(mergeUpdates(this.#queue.slice(0, count)));
        this.#queue.splice(0, count);
      }
      this.#change({ isUnsent: false, error: undefined });
    } catch (error) {
      await this.#failed(error);
    } finally {
      this.#isSending = false;
    }
  }

  /** What was refused stays to be sent: by itself where that may help, or with what is written next. */
  async #failed(error: unknown): Promise<void> {
    if (reasonOf(error) === "NOTES_BEHIND") {
      try {
        await this.#catchUp();
        this.#soon(0);
      } catch (problem) {
        this.#again(problem);
      }
    } else this.#again(error);
  }

  #again(error: unknown): void {
    if (TRANSIENT.includes(reasonOf(error))) this.#soon(Math.max(retryMs(error), RETRY_MS));
    this.#change({ error });
  }

  /** Put what the server lacks in place of what it could not take. */
  async #catchUp(): Promise<void> {
    const theirs = await this.#read();
    this.#queue = [encodeStateAsUpdate(this.#document, encodeStateVectorFromUpdate(theirs))];
  }

  async #read(): Promise<Uint8Array> {
    const { document } = await this.client.getNotes({ name: `${this.meeting}/notes` });
    applyUpdate(this.#document, document, REMOTE);
    return document;
  }

  #change(change: Partial<NotesState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** How many of the first updates are small enough to be sent as one: at least one. */
function fitting(updates: readonly Uint8Array[]): number {
  let bytes = 0;
  const first = updates.findIndex(({ length }, place) => (bytes += length) > MOST_BYTES && place > 0);
  return first === -1 ? updates.length : first;
}
