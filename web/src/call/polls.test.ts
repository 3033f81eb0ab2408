import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { type Poll, PollSchema, PollService, PollState } from "../gen/parley/meeting/v1/poll_pb";
import { answered, listed, Polls, share, showsCounts, told, unanswered } from "./polls";

interface Known {
  counts?: number[];
  own?: number[];
  voters?: string[][];
  closed?: boolean;
  live?: boolean;
  anonymous?: boolean;
  creator?: string;
}

function poll(id: string, { counts = [0, 0], own = [], voters, closed, live, anonymous, creator = "host" }: Known = {}): Poll {
  return create(PollSchema, {
    name: `meetings/m/polls/${id}`,
    question: id,
    choices: counts.map((voteCount, place) => ({ text: String(place), voteCount, voters: voters?.[place] ?? [] })),
    ownChoices: own,
    voterCount: counts.reduce((sum, count) => sum + count, 0),
    state: closed === true ? PollState.CLOSED : PollState.OPEN,
    liveResults: live,
    anonymous,
    creator,
  });
}

const questions = (polls: readonly Poll[]) => polls.map(({ question }) => question);
const changed = (changedPoll: Poll) => ({ case: "pollChanged", value: { poll: changedPoll } }) as never;

test("what the room is told leaves our own choices and the voters, and what we are answered leaves the counts", () => {
  const known = [poll("a", { own: [1], voters: [["bob"], []] })];
  const after = told(known, poll("a", { counts: [2, 1], closed: true }));
  expect(after[0]).toMatchObject({ ownChoices: [1], state: PollState.CLOSED, voterCount: 3 });
  expect(after[0]?.choices.map(({ voteCount, voters }) => [voteCount, voters])).toEqual([[2, ["bob"]], [1, []]]);
  const late = answered(after, poll("a", { counts: [1, 0], own: [0] }));
  expect(late[0]).toMatchObject({ ownChoices: [0], state: PollState.CLOSED, voterCount: 3 });
});

test("what was asked while the list was read is before it, and nothing is there twice", () => {
  const heard = [poll("new"), poll("b", { counts: [1, 0] })];
  const all = listed(heard, [poll("b", { own: [0] }), poll("a")]);
  expect(questions(all)).toEqual(["new", "b", "a"]);
  expect(all[1]).toMatchObject({ voterCount: 1, ownChoices: [0] });
});

test("open polls without an answer of ours wait for one", () => {
  expect(unanswered([poll("a"), poll("b", { own: [0] }), poll("c", { closed: true })])).toBe(1);
});

test("counts are shown of what is closed, or live, as parts of those who answered", () => {
  expect([poll("a"), poll("a", { live: true }), poll("a", { closed: true })].map(showsCounts)).toEqual([false, true, true]);
  expect(share(poll("a", { counts: [1, 2] }), 1)).toBe(67);
  expect(share(poll("a"), 0)).toBe(0);
});

/** A room whose server has these polls, in whose answers hosts find voters, and fails to be asked as often as it is told. */
function room(polls: Poll[], failures = 0) {
  const requests: string[] = [];
  let left = failures;
  let reads = 0;
  const transport = createRouterTransport(({ service }) => {
    service(PollService, {
      listPolls: () => ({ polls }),
      getPoll: () => (reads++, poll("a", { voters: [["bob"], []] })),
      votePoll: ({ choices }) => poll("a", { own: choices }),
      createPoll: ({ poll: asked, requestId }) => {
        requests.push(requestId);
        if (left-- > 0) throw new ConnectError("gone", Code.Unavailable);
        return poll(asked?.question ?? "", { creator: "me" });
      },
    });
  });
  return { polls: new Polls(createClient(PollService, transport), "meetings/m"), requests, reads: () => reads };
}

test("an answer is one's own at once, and a poll that another asks is news", async () => {
  const { polls } = room([poll("a")]);
  await polls.enter("me");
  await polls.vote("meetings/m/polls/a", [1]);
  expect(polls.state.polls[0]?.ownChoices).toEqual([1]);
  expect(polls.state.latest).toBeUndefined();
  polls.said(changed(poll("mine", { creator: "me" })));
  expect(polls.state.latest).toBeUndefined();
  polls.said(changed(poll("b")));
  expect(polls.state.latest?.question).toBe("b");
});

test("what was missed when the conversation had to begin anew is read, and is as it is now", async () => {
  const list = [poll("a")];
  const { polls } = room(list);
  await polls.enter("me");
  polls.said(changed(poll("a", { counts: [1, 0] })));
  list[0] = poll("a", { counts: [2, 1], closed: true });
  polls.said({ case: "joined", value: {} } as never);
  await vi.waitFor(() => expect(polls.state.polls[0]).toMatchObject({ voterCount: 3, state: PollState.CLOSED }));
});

test("those who see voters read them when they may be shown, a burst of answers in two readings", async () => {
  const { polls, reads } = room([poll("a")]);
  await polls.enter("me");
  polls.setSeesVoters(true);
  polls.said(changed(poll("a")));
  polls.said(changed(poll("a", { live: true, anonymous: true })));
  expect(reads()).toBe(0);
  for (let count = 1; count <= 5; count++) polls.said(changed(poll("a", { live: true, counts: [count, 0] })));
  await vi.waitFor(() => expect(reads()).toBe(2));
  expect(polls.state.polls[0]?.choices[0]).toMatchObject({ voteCount: 5, voters: ["bob"] });
});

test("a question that is asked again after a failure is the same poll", async () => {
  const { polls, requests } = room([], 1);
  const question = { question: "q", choices: ["x", "y"], multiple: false, anonymous: false, liveResults: false };
  await expect(polls.ask(question)).rejects.toThrow("gone");
  await polls.ask(question);
  expect(requests[1]).toBe(requests[0]);
  expect(questions(polls.state.polls)).toEqual(["q"]);
});
