import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import {
  type Participant,
  ParticipantGrantsSchema,
  ParticipantRole,
  ParticipantSchema,
  ParticipantState,
} from "../gen/parley/meeting/v1/meeting_pb";
import { ParticipantService } from "../gen/parley/meeting/v1/participant_pb";
import { TrackSource } from "../gen/parley/signaling/v1/signaling_pb";
import { awaitAdmission } from "./lobby";
import { grantedTo, mayActOn, runs } from "./roles";
import { changes, EMPTY } from "./room";

type Said = Partial<{ participant: Participant; aheadCount: number; admission: { ticket: string } }>;

const person = (id: string, role: ParticipantRole, administer = role <= ParticipantRole.COHOST) =>
  create(ParticipantSchema, {
    name: `meetings/m/participants/${id}`,
    displayName: id,
    role,
    grants: create(ParticipantGrantsSchema, { publishAudio: true, publishVideo: true, administer }),
  });
const ann = person("Ann", ParticipantRole.HOST);
const bob = person("Bob", ParticipantRole.COHOST);
const cat = person("Cat", ParticipantRole.PARTICIPANT);

test("co-hosts act on all but hosts, and nobody on themselves", () => {
  expect([mayActOn(ann, bob), mayActOn(bob, ann), mayActOn(bob, cat), mayActOn(cat, bob)]).toEqual([true, false, true, false]);
  expect(mayActOn(bob, bob)).toBe(false);
});

test("who may administer runs the meeting, whatever the role", () => {
  expect(runs(person("Dan", ParticipantRole.PARTICIPANT, true))).toBe(true);
  expect(runs(person("Eve", ParticipantRole.COHOST, false))).toBe(false);
});

test("what is sent follows the grants; without any, all may be sent", () => {
  expect([...grantedTo(cat)]).toEqual(["microphone", "camera"]);
  expect(grantedTo(undefined).size).toBe(4);
});

test("hosts are told who waits, until they are hosts no more", () => {
  const room = { ...EMPTY, me: bob.name, participants: [bob] };
  const told = { ...room, ...changes(room, { case: "lobbyChanged", value: { waiting: [cat] } as never }) };
  expect(told.waiting).toEqual([cat]);
  const demoted = person("Bob", ParticipantRole.PARTICIPANT);
  expect(changes(told, { case: "participantUpdated", value: { participant: demoted } as never }).waiting).toEqual([]);
});

test("each time somebody asks to unmute is told, with what they are called", () => {
  const room = { ...EMPTY, me: cat.name, participants: [ann, cat] };
  const value = { requester: ann.name, source: TrackSource.MICROPHONE } as never;
  const asked = { ...room, ...changes(room, { case: "unmuteRequested", value }) };
  expect(asked.asked).toEqual({ by: "Ann", source: "microphone", count: 1 });
  expect(changes(asked, { case: "unmuteRequested", value }).asked?.count).toBe(2);
});

/** A lobby that says what is given, stream by stream; an error breaks a stream off. */
function lobby(...streams: (Said | ConnectError)[][]) {
  const service = createClient(
    ParticipantService,
    createRouterTransport(({ service: serve }) => {
      serve(ParticipantService, {
        async *waitForAdmission() {
          for (const said of streams.shift() ?? []) {
            if (said instanceof ConnectError) throw said;
            yield said;
          }
        },
      });
    }),
  );
  const ahead: number[] = [];
  const leaving = new AbortController();
  return { ahead, leaving, decision: awaitAdmission(service, cat.name, (count) => ahead.push(count), leaving.signal) };
}

test("whoever waits learns how many are before them, and comes in", async () => {
  const { ahead, decision } = lobby([{ aheadCount: 2 }, { aheadCount: 0 }, { admission: { ticket: "t" } }]);
  expect(await decision).toMatchObject({ ticket: "t" });
  expect(ahead).toEqual([2, 0]);
});

test("whoever is turned away, or was not seen for long, waits no more", async () => {
  const denied = create(ParticipantSchema, { state: ParticipantState.DENIED });
  expect(await lobby([{ participant: denied }]).decision).toBe("denied");
  const left = create(ParticipantSchema, { state: ParticipantState.LEFT });
  expect(await lobby([{ participant: left }]).decision).toBe("gone");
});

test("a stream that breaks off is opened again; what no waiting helps against is told", async () => {
  vi.useFakeTimers();
  try {
    const broken = lobby([new ConnectError("gone", Code.Unavailable)], [], [{ admission: { ticket: "t" } }]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await broken.decision).toMatchObject({ ticket: "t" });
  } finally {
    vi.useRealTimers();
  }
  await expect(lobby([new ConnectError("over", Code.FailedPrecondition)]).decision).rejects.toThrow("over");
});

test("whoever leaves the lobby waits no more", async () => {
  const { leaving, decision } = lobby([]);
  leaving.abort();
  await expect(decision).rejects.toThrow();
});
