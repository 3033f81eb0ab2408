/**
 * What is written in a meeting's chat, as one person sees it: the messages that are known, oldest first, and how each
 * that comes changes them. Pure but for `Chat`, which reads, writes, and is told.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { newRequestId } from "../api/request";
import type { ChatMessage, ChatService } from "../gen/parley/meeting/v1/chat_pb";
import type { ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { ChatPolicy, type Settings } from "../gen/parley/meeting/v1/settings_pb";
import { isChair } from "./roles";
import type { Said } from "./signaling";

const PAGE = 50;

export interface ChatState {
  /** Oldest first, deleted ones too. */
  readonly messages: readonly ChatMessage[];
  /** How many others have written since the chat was last looked at. */
  readonly unread: number;
  /** What another wrote last, to be told to those who can't see it. */
  readonly latest: ChatMessage | undefined;
  readonly isLoading: boolean;
  /** Whether the server has messages before the first. */
  readonly hasEarlier: boolean;
  /** Why messages could not be read. */
  readonly error: unknown;
}

/** A message to be written. */
export interface Draft {
  readonly text: string;
  /** `meetings/{code}/participants/{id}`; empty: all. */
  readonly recipient: string;
  /** `meetings/{code}/chatMessages/{id}`; empty: nothing. */
  readonly replyTo: string;
}

/** What of the chat is open to somebody. */
export type Openness = "open" | "public" | "hosts" | "off";

/** Tell what the meeting's policy leaves to somebody: all, all but private messages, or nothing, and for whose sake. */
export function opennessTo(settings: Settings | undefined, role: ParticipantRole | undefined): Openness {
  switch (settings?.chatPolicy) {
    case ChatPolicy.OFF:
      return "off";
    case ChatPolicy.HOSTS:
      return isChair(role) ? "open" : "hosts";
    case ChatPolicy.PUBLIC:
      return "public";
    default:
      return "open";
  }
}

/** Put messages in their places. Of one that is known the version stays that was changed last. */
export function merged(known: readonly ChatMessage[], coming: readonly ChatMessage[]): ChatMessage[] {
  const byName = new Map(known.map((message) => [message.name, message]));
  for (const message of coming) {
    const before = byName.get(message.name);
    if (before === undefined || changedMs(message) >= changedMs(before)) byName.set(message.name, message);
  }
  return [...byName.values()].sort((one, other) => writtenMs(one) - writtenMs(other));
}

/** The other one of the two whom a private message is for. */
export function otherOf(message: ChatMessage, me: string): string {
  return message.sender === me ? message.recipient : message.sender;
}

export class Chat {
  state: ChatState = {
    messages: [],
    unread: 0,
    latest: undefined,
    isLoading: false,
    hasEarlier: false,
    error: undefined,
  };
  #me = "";
  #isOpen = false;
  #next = "";
  /** What was sent last, and whether it is known to have arrived: the same again, after a failure, is no second message. */
  #sent = { key: "", requestId: "" };
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly client: Client<typeof ChatService>,
    /** `meetings/{code}`. */
    private readonly meeting: string,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly snapshot = (): ChatState => this.state;

  /** Take in what the server said, if it is of the chat. */
  readonly said = (said: Said): void => {
    // A conversation that had to begin anew has missed something.
    if (said.case === "joined") void this.enter(said.value.participant?.name ?? this.#me);
    if (said.case !== "chatChanged" || said.value.chatMessage === undefined) return;
    const message = said.value.chatMessage;
    const { messages, hasEarlier } = this.state;
    const isKnown = messages.some(({ name }) => name === message.name);
    const first = messages[0];
    // What changes in messages that were not read yet will be read with them.
    if (!isKnown && hasEarlier && first !== undefined && writtenMs(message) < writtenMs(first)) return;
    const isNews =
      !isKnown && message.sender !== this.#me && message.editTime === undefined && message.deleteTime === undefined;
    this.#change({
      messages: merged(messages, [message]),
      unread: this.state.unread + (isNews && !this.#isOpen ? 1 : 0),
      latest: isNews ? message : withoutDeleted(this.state.latest, message),
    });
  };

  /** Read what was written before we came, as this participant; what is written from now on is told. */
  enter(me: string): Promise<void> {
    this.#me = me;
    return this.#read("");
  }

  /** Read what was written before that; or again what could not be read. */
  earlier(): Promise<void> {
    return this.#read(this.#next);
  }

  /** Whether somebody looks at it. */
  readonly setOpen = (isOpen: boolean): void => {
    this.#isOpen = isOpen;
    if (isOpen) this.#change({ unread: 0 });
  };

  /** Write a message. The same again after a failure is the same message, should it have arrived after all. */
  async send(draft: Draft): Promise<void> {
    const key = JSON.stringify(draft);
    if (this.#sent.key !== key) this.#sent = { key, requestId: newRequestId() };
    const { requestId } = this.#sent;
    const message = await this.client.createChatMessage({ parent: this.meeting, chatMessage: { ...draft }, requestId });
    this.#sent = { key: "", requestId: "" };
    this.#learn([message]);
  }

  async edit(name: string, text: string): Promise<void> {
    this.#learn([await this.client.editChatMessage({ name, text })]);
  }

  /** Delete a message for everyone; that it is deleted is told by the room. */
  async delete(name: string): Promise<void> {
    await this.client.deleteChatMessage({ name });
  }

  async #read(pageToken: string): Promise<void> {
    if (this.state.isLoading) return;
    this.#change({ isLoading: true, error: undefined });
    try {
      const page = await this.client.listChatMessages({ parent: this.meeting, pageSize: PAGE, pageToken });
      this.#next = page.nextPageToken;
      this.#learn(page.chatMessages);
      this.#change({ isLoading: false, hasEarlier: this.#next !== "" });
    } catch (error) {
      this.#change({ isLoading: false, error });
    }
  }

  #learn(coming: readonly ChatMessage[]): void {
    this.#change({ messages: merged(this.state.messages, coming) });
  }

  #change(change: Partial<ChatState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Forget what is to be told as soon as it is deleted. */
function withoutDeleted(latest: ChatMessage | undefined, message: ChatMessage): ChatMessage | undefined {
  return latest?.name === message.name && message.deleteTime !== undefined ? undefined : latest;
}

function writtenMs({ createTime }: ChatMessage): number {
  return createTime === undefined ? 0 : timestampMs(createTime);
}

/** When a message became what it is; a deleted one changes no more. */
function changedMs({ editTime, deleteTime }: ChatMessage): number {
  if (deleteTime !== undefined) return Infinity;
  return editTime === undefined ? 0 : timestampMs(editTime);
}
