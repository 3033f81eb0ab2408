/**
 * A meeting's polls, as one person sees them: newest first. What the room is told stands for the question, its state and
 * its counts, for it comes in order; what is answered to us alone adds our own choices, and to hosts the voters.
 */
import type { Client } from "@connectrpc/connect";
import { newRequestId } from "../api/request";
import { type Poll, type PollService, PollState } from "../gen/parley/meeting/v1/poll_pb";
import type { Said } from "./signaling";

/** All of a meeting: it may have no more. */
const PAGE = 100;

export interface PollsState {
  readonly polls: readonly Poll[];
  readonly isLoading: boolean;
  /** Why they could not be read. */
  readonly error: unknown;
  /** The poll that was asked last since we came, by another. */
  readonly latest: Poll | undefined;
}

/** A question to be asked. */
export interface Question {
  readonly question: string;
  readonly choices: readonly string[];
  readonly multiple: boolean;
  readonly anonymous: boolean;
  readonly liveResults: boolean;
}

/** Take in a poll as the room is told of it: what it knows of ourselves and of voters stays. */
export function told(known: readonly Poll[], poll: Poll): Poll[] {
  const before = known.find(({ name }) => name === poll.name);
  if (before === undefined) return [poll, ...known];
  const choices = poll.choices.map((choice, place) => ({ ...choice, voters: before.choices[place]?.voters ?? [] }));
  const after = { ...poll, choices, ownChoices: before.ownChoices };
  return known.map((each) => (each === before ? after : each));
}

/** Take in a poll as it was answered to us: our own choices and the voters, and all of it where it is news. */
export function answered(known: readonly Poll[], poll: Poll): Poll[] {
  const before = known.find(({ name }) => name === poll.name);
  if (before === undefined) return [poll, ...known];
  const choices = before.choices.map((choice, place) => ({ ...choice, voters: poll.choices[place]?.voters ?? [] }));
  return known.map((each) => (each === before ? { ...before, choices, ownChoices: poll.ownChoices } : each));
}

/** Take in all that were asked before: those that the room was told of meanwhile are as it was told. */
export function listed(known: readonly Poll[], list: readonly Poll[]): Poll[] {
  const news = known.filter(({ name }) => list.every((each) => each.name !== name));
  const old = list.map((poll) => {
    const heard = known.filter(({ name }) => name === poll.name);
    return answered(heard, poll)[0] ?? poll;
  });
  return [...news, ...old];
}

export function isOpen(poll: Poll): boolean {
  return poll.state === PollState.OPEN;
}

/** Whether its counts are shown. */
export function showsCounts(poll: Poll): boolean {
  return poll.liveResults || !isOpen(poll);
}

/** How many polls wait for our answer. */
export function unanswered(polls: readonly Poll[]): number {
  return polls.filter((poll) => isOpen(poll) && poll.ownChoices.length === 0).length;
}

/** What part of those who answered took a choice, in whole per cent. */
export function share(poll: Poll, place: number): number {
  const votes = poll.choices[place]?.voteCount ?? 0;
  return poll.voterCount === 0 ? 0 : Math.round((100 * votes) / poll.voterCount);
}

export class Polls {
  state: PollsState = { polls: [], isLoading: false, error: undefined, latest: undefined };
  #me = "";
  #seesVoters = false;
  /** Of which polls the room was told since the list was asked for. */
  readonly #news = new Set<string>();
  /** Polls that are being read again, and those of them that have changed since they were asked for. */
  readonly #reading = new Map<string, { again: boolean }>();
  /** The question that was sent last, until it is known to have arrived: the same again is no second poll. */
  #sent = { key: "", requestId: "" };
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly client: Client<typeof PollService>,
    /** `meetings/{code}`. */
    private readonly meeting: string,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly snapshot = (): PollsState => this.state;

  /** Take in what the server said, if it is of polls. */
  readonly said = (said: Said): void => {
    // A conversation that had to begin anew has missed something.
    if (said.case === "joined") void this.enter(said.value.participant?.name ?? this.#me);
    if (said.case !== "pollChanged" || said.value.poll === undefined) return;
    const { poll } = said.value;
    this.#news.add(poll.name);
    const isNews = this.state.polls.every(({ name }) => name !== poll.name) && isOpen(poll) && poll.creator !== this.#me;
    this.#change({ polls: told(this.state.polls, poll), latest: isNews ? poll : this.state.latest });
    if (this.#seesVoters && showsCounts(poll) && !poll.anonymous) void this.#readVoters(poll.name);
  };

  /** Read what was asked before we came, as this participant. */
  async enter(me: string): Promise<void> {
    this.#me = me;
    this.#news.clear();
    this.#change({ isLoading: true, error: undefined });
    try {
      const { polls } = await this.client.listPolls({ parent: this.meeting, pageSize: PAGE });
      const heard = this.state.polls.filter(({ name }) => this.#news.has(name));
      this.#change({ polls: listed(heard, polls), isLoading: false });
    } catch (error) {
      this.#change({ isLoading: false, error });
    }
  }

  /** Whether we are told who chose what. */
  setSeesVoters(sees: boolean): void {
    this.#seesVoters = sees;
  }

  /** Ask the room. The same again after a failure is the same poll, should it have arrived after all. */
  async ask({ choices, ...rest }: Question): Promise<void> {
    const poll = { ...rest, choices: choices.map((text) => ({ text })) };
    const key = JSON.stringify(poll);
    if (this.#sent.key !== key) this.#sent = { key, requestId: newRequestId() };
    const asked = await this.client.createPoll({ parent: this.meeting, poll, requestId: this.#sent.requestId });
    this.#sent = { key: "", requestId: "" };
    this.#change({ polls: answered(this.state.polls, asked) });
  }

  /** Answer a poll, in place of our answer before; nothing takes that back. */
  async vote(name: string, choices: readonly number[]): Promise<void> {
    const poll = await this.client.votePoll({ name, choices: [...choices] });
    this.#change({ polls: answered(this.state.polls, poll) });
  }

  /** Close a poll; that it is closed is told by the room. */
  async close(name: string): Promise<void> {
    await this.client.closePoll({ name });
  }

  /** Read who chose what, once at a time and again when it has changed meanwhile. */
  async #readVoters(name: string): Promise<void> {
    const before = this.#reading.get(name);
    if (before !== undefined) return void (before.again = true);
    const reading = { again: true };
    this.#reading.set(name, reading);
    try {
      while (reading.again) {
        reading.again = false;
        const poll = await this.client.getPoll({ name });
        this.#change({ polls: answered(this.state.polls, poll) });
      }
    } catch (error) {
      console.warn(error); // the counts are there without the names
    } finally {
      this.#reading.delete(name);
    }
  }

  #change(change: Partial<PollsState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}
