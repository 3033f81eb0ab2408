/**
 * The conversation with the signaling service: Subscribe for what it says, Send for what we say, in order. When the
 * stream breaks it is resumed by cursor, with growing delays, for as long as the server keeps the session.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import {
  ClientMessageSchema,
  type ClientMessage,
  type Joined,
  type ServerMessage,
  type SignalingService,
} from "../gen/parley/signaling/v1/signaling_pb";

export type Said = ServerMessage["message"];
export type ToSay = ClientMessage["message"];

const PING_MS = 10_000;
const REPLY_MS = 10_000;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 3_000;
/** Without a word from the server for this long, pings included, the stream counts as broken. */
const SILENCE_MS = 25_000;

export interface Listener {
  /** Something was said that answers nothing of ours. */
  said(message: Said): void;
  /** The conversation broke off, or goes on again. */
  connected(connected: boolean): void;
  /** The conversation is over for good. */
  over(error: ConnectError | undefined): void;
}

interface Waiting {
  resolve(message: Said): void;
  reject(error: Error): void;
}

export class Refusal extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

export class Signaling {
  #token = "";
  #cursor = 0n;
  #next = 1;
  #over = false;
  #heard = 0;
  #stream: AbortController | undefined;
  #sending: Promise<unknown> = Promise.resolve();
  #wake: (() => void) | undefined;
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
    if (said.case !== "joined") throw new Error("not joined");
    return said.value;
  }

  /** Say something and wait for its answer. Rejects with Refusal, or when no answer comes. */
  async ask(message: ToSay): Promise<Said> {
    const id = String(this.#next++);
    const answer = this.#wait(id, REPLY_MS);
    this.#send(create(ClientMessageSchema, { id, message })).catch((error: unknown) => {
      this.#waiting.get(id)?.reject(ConnectError.from(error));
    });
    return answer;
  }

  /** Leave for good. */
  leave(): void {
    if (this.#over) return;
    void this.#send(create(ClientMessageSchema, { message: { case: "leave", value: {} } })).catch(() => undefined);
    this.#end(undefined);
  }

  /** Try again now, since the network has come back. */
  hurry(): void {
    this.#wake?.();
  }

  /** One message after the other, so that none overtakes another. */
  #send(message: ClientMessage): Promise<unknown> {
    const sent = this.#sending
      .catch(() => undefined)
      .then(() => this.client.send({ sessionToken: this.#token, message }, { timeoutMs: REPLY_MS }));
    this.#sending = sent;
    return sent;
  }

  async #run(first: ToSay): Promise<void> {
    let opening = first;
    let delay = RETRY_MIN_MS;
    const pinging = setInterval(() => this.#ping(), PING_MS);
    while (!this.#over) {
      const error = await this.#read(opening);
      if (this.#isOver()) break;
      if (!isTransient(error) || this.#token === "") {
        this.#end(error);
        break;
      }
      this.listener.connected(false);
      if (Date.now() - this.#heard < RETRY_MAX_MS) delay = RETRY_MIN_MS;
      await this.#pause(delay * (0.75 + Math.random() / 2));
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
    if (said.sequence <= this.#cursor) return;
    this.#cursor = said.sequence;
    if (said.message.case === "joined") this.#token = said.message.value.sessionToken;
    if (said.message.case === "joined" || said.message.case === "resumed") this.listener.connected(true);
    const waiting = this.#waiting.get(said.replyTo);
    if (waiting !== undefined && said.replyTo !== "") waiting.resolve(said.message);
    else this.listener.said(said.message);
    if (said.message.case === "meetingEnded" || said.message.case === "disconnected") this.#end(undefined);
  }

  #ping(): void {
    if (this.#token === "" || this.#over) return;
    if (Date.now() - this.#heard > SILENCE_MS) this.#stream?.abort();
    this.ask({ case: "ping", value: { $typeName: "parley.signaling.v1.Ping" } }).catch(() => undefined);
  }

  #wait(id: string, milliseconds: number): Promise<Said> {
    return new Promise<Said>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(id);
      };
      const timer = setTimeout(() => this.#waiting.get(id)?.reject(new Error("no answer")), milliseconds);
      this.#waiting.set(id, {
        resolve: (message) => {
          settle();
          if (message.case === "refused")
            reject(new Refusal(message.value.status?.code ?? 2, message.value.status?.message ?? ""));
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
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(error: ConnectError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.abort();
    for (const waiting of [...this.#waiting.values()]) waiting.reject(error ?? new Error("over"));
    this.listener.over(error);
  }

  #isOver(): boolean {
    return this.#over;
  }
}

/** Whether trying again may help. A stream that simply ended is resumed, too. */
function isTransient(error: ConnectError | undefined): boolean {
  if (error === undefined) return true;
  const final = [Code.Unauthenticated, Code.PermissionDenied, Code.NotFound, Code.FailedPrecondition, Code.InvalidArgument];
  return !final.includes(error.code);
}
