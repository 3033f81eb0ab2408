/**
 * The conversation with the signaling service: Subscribe for what it says, Send for what we say, in order. When the
 * stream breaks it is resumed by cursor, with growing delays, for longer than the server keeps the session; what is
 * said meanwhile waits. Everything that fails fails with a ConnectError.
 */
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import type { Status } from "../gen/google/rpc/status_pb";
import {
  ClientMessageSchema,
  type ClientMessage,
  type Joined,
  type ServerMessage,
  type SignalingService,
} from "../gen/parley/signaling/v1/signaling_pb";

export type Said = ServerMessage["message"];
export type ToSay = ClientMessage["message"];

const PING_MS = 3_000;
/** So soon after a ping comes the next, or we have vanished: then we are gone for the others within 15 seconds. */
const PROMISE_SECONDS = 8n;
const REPLY_MS = 10_000;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 3_000;
/** Without a word from the server for this long, pings included, the stream counts as broken. */
const SILENCE_MS = 25_000;
/** Without a word for so long although pings get through, as by another network, only the stream is broken. */
const DEAF_MS = 8_000;
/** When the network has come back, the stream has this long to answer a ping. */
const PROBE_MS = 3_000;
/** The server keeps a session for 30 s: after twice as long there is nothing to resume. */
const LOST_MS = 60_000;
/** What trying again does not help. */
const FINAL: readonly Code[] = [
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.NotFound,
  Code.FailedPrecondition,
  Code.InvalidArgument,
  Code.Unimplemented,
];

export interface Listener {
  /** Something was said that answers nothing of ours, at a time in milliseconds since 1970 by the server's clock. */
  said(message: Said, time: number): void;
  /** The conversation broke off, or goes on again. */
  connected(connected: boolean): void;
  /** The conversation is over for good. */
  over(error: ConnectError | undefined): void;
}

interface Waiting {
  resolve(message: Said): void;
  reject(error: Error): void;
}

export class Signaling {
  #token = "";
  #cursor = 0n;
  #next = 1;
  #over = false;
  #connected = false;
  #heard = 0;
  /** When the last ping had got through. */
  #pinged = 0;
  #stream: AbortController | undefined;
  #sending: Promise<unknown> = Promise.resolve();
  readonly #pauses = new Set<() => void>();
  readonly #waiting = new Map<string, Waiting>();

  constructor(
    private readonly client: Client<typeof SignalingService>,
    private readonly listener: Listener,
  ) {}

  /** Begin with a join ticket; resolves when the server has let us in. */
  async join(ticket: string): Promise<Joined> {
    const joined = this.#wait("join", REPLY_MS);
    void this.#run({ case: "join", value: { $typeName: "parley.signaling.v1.Join", ticket } });
    const said = await joined;
    if (said.case !== "joined") throw new ConnectError("join was answered by something else", Code.Internal);
    return said.value;
  }

  /** Say something and wait for its answer. Rejects when it is refused, or when no answer comes. */
  async ask(message: ToSay, milliseconds = REPLY_MS): Promise<Said> {
    const id = String(this.#next++);
    const answer = this.#wait(id, milliseconds);
    this.#send(create(ClientMessageSchema, { id, message })).catch((error: unknown) => {
      this.#waiting.get(id)?.reject(ConnectError.from(error));
    });
    return answer;
  }

  /** Leave for good. */
  leave(): void {
    if (this.#over) return;
    const message = create(ClientMessageSchema, { message: { case: "leave", value: {} } });
    if (this.#token !== "") this.client.send({ sessionToken: this.#token, message }).catch(() => undefined);
    this.#end(undefined);
  }

  /** The network has come back: try again now, and find out whether the stream has outlived it. */
  hurry(): void {
    for (const wake of [...this.#pauses]) wake();
    if (!this.#connected) return;
    const [stream, asked] = [this.#stream, Date.now()];
    this.#ping();
    setTimeout(() => {
      if (this.#heard <= asked) stream?.abort();
    }, PROBE_MS);
  }

  /** One message after the other, so that none overtakes another. */
  #send(message: ClientMessage): Promise<void> {
    const sent = this.#sending.catch(() => undefined).then(() => this.#deliver(message));
    this.#sending = sent;
    return sent;
  }

  /** Send a message, again and again while the server can't be reached, for as long as somebody waits for its answer. */
  async #deliver(message: ClientMessage): Promise<void> {
    for (let delay = RETRY_MIN_MS; this.#waiting.has(message.id); delay = Math.min(2 * delay, RETRY_MAX_MS)) {
      try {
        await this.client.send({ sessionToken: this.#token, message }, { timeoutMs: REPLY_MS });
        return;
      } catch (error) {
        if (!isTransient(ConnectError.from(error))) throw error;
        await this.#pause(jittered(delay));
      }
    }
  }

  async #run(first: ToSay): Promise<void> {
    let opening = first;
    let delay = RETRY_MIN_MS;
    let broken = 0;
    const pinging = setInterval(() => this.#beat(), PING_MS);
    while (!this.#over) {
      const error = await this.#read(opening);
      if (this.#isOver()) break;
      if (this.#connected) [delay, broken] = [RETRY_MIN_MS, Date.now()];
      if (!isTransient(error) || this.#token === "" || Date.now() - broken > LOST_MS) {
        this.#end(error);
        break;
      }
      this.#setConnected(false);
      await this.#pause(jittered(delay));
      delay = Math.min(2 * delay, RETRY_MAX_MS);
      opening = {
        case: "resume",
        value: { $typeName: "parley.signaling.v1.Resume", sessionToken: this.#token, cursor: this.#cursor },
      };
    }
    clearInterval(pinging);
  }

  /** Read one stream to its end; returns why it ended. */
  async #read(opening: ToSay): Promise<ConnectError | undefined> {
    const stream = (this.#stream = new AbortController());
    this.#heard = Date.now();
    try {
      const message = create(ClientMessageSchema, { id: opening.case ?? "", message: opening });
      for await (const said of this.client.subscribe({ message }, { signal: stream.signal })) this.#hear(said);
      return undefined;
    } catch (error) {
      return ConnectError.from(error);
    }
  }

  #hear(said: ServerMessage): void {
    this.#heard = Date.now();
    if (said.sequence <= this.#cursor) return; // a pong may repeat one
    this.#cursor = said.sequence;
    if (said.message.case === "joined") this.#token = said.message.value.sessionToken;
    if (said.message.case === "joined" || said.message.case === "resumed") this.#setConnected(true);
    const waiting = this.#waiting.get(said.replyTo);
    if (waiting !== undefined && said.replyTo !== "") waiting.resolve(said.message);
    else this.listener.said(said.message, said.time === undefined ? Date.now() : timestampMs(said.time));
    if (said.message.case === "meetingEnded" || said.message.case === "disconnected") this.#end(undefined);
  }

  #setConnected(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    if (connected) this.#ping(); // who vanishes before the first has promised nothing
    this.listener.connected(connected);
  }

  #beat(): void {
    if (!this.#connected) return;
    const longest = this.#pinged > this.#heard ? DEAF_MS : SILENCE_MS;
    if (Date.now() - this.#heard > longest) this.#stream?.abort();
    else this.#ping();
  }

  /** It waits for nothing that is being sent, and its pong counts as any other word. */
  #ping(): void {
    const ping = { nextWithin: { seconds: PROMISE_SECONDS } };
    const message = create(ClientMessageSchema, { message: { case: "ping", value: ping } });
    const sent = this.client.send({ sessionToken: this.#token, message }, { timeoutMs: REPLY_MS });
    sent.then(() => (this.#pinged = Date.now())).catch(() => undefined);
  }

  #wait(id: string, milliseconds: number): Promise<Said> {
    return new Promise<Said>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(id);
      };
      const unanswered = () => this.#waiting.get(id)?.reject(new ConnectError("no answer", Code.DeadlineExceeded));
      const timer = setTimeout(unanswered, milliseconds);
      this.#waiting.set(id, {
        resolve: (message) => {
          settle();
          if (message.case === "refused") reject(refusal(message.value.status));
          else resolve(message);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
    });
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#pauses.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.#pauses.add(wake);
    });
  }

  #end(error: ConnectError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.abort();
    for (const waiting of [...this.#waiting.values()]) waiting.reject(error ?? new ConnectError("over", Code.Canceled));
    for (const wake of [...this.#pauses]) wake();
    this.listener.over(error);
  }

  #isOver(): boolean {
    return this.#over;
  }
}

/** Whether trying again may help. A stream that simply ended is resumed, too. */
function isTransient(error: ConnectError | undefined): boolean {
  return error === undefined || !FINAL.includes(error.code);
}

function jittered(milliseconds: number): number {
  return milliseconds * (0.75 + Math.random() / 2);
}

/** A refusal that came as a message, as the error that a call would have failed with. */
function refusal(status: Status | undefined): ConnectError {
  const code = status?.code ?? Code.Unknown;
  const error = new ConnectError(status?.message ?? "", isCode(code) ? code : Code.Unknown);
  error.details = (status?.details ?? []).map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}

function isCode(value: number): value is Code {
  return value in Code;
}
