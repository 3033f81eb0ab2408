import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { reasonOf } from "../api/errors";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";
import { StatusSchema } from "../gen/google/rpc/status_pb";
import {
  type ClientMessage,
  type ServerMessage,
  ServerMessageSchema,
  SignalingService,
} from "../gen/parley/signaling/v1/signaling_pb";
import { type Said, Signaling } from "./signaling";

type Message = ServerMessage["message"];
const say = (sequence: number, message: Message, replyTo = ""): ServerMessage =>
  create(ServerMessageSchema, { sequence: BigInt(sequence), replyTo, message });
const joined: Message = { case: "joined", value: { sessionToken: "s.secret" } as never };
const speakers = (name: string): Message => ({ case: "speakersChanged", value: { speakers: [name] } as never });

const promised = ({ message }: ClientMessage) => (message.case === "ping" ? message.value.nextWithin?.seconds : undefined);

/** A server whose every stream says what `script` yields; collects what it was told, and pings apart. */
function talk(
  script: (opening: ClientMessage, stream: number, sent: ClientMessage[], pings: ClientMessage[]) => AsyncIterable<ServerMessage>,
  take: (attempt: number) => void = () => undefined,
  isThere: () => boolean = () => true,
) {
  let attempts = 0;
  const sent: ClientMessage[] = [];
  const pings: ClientMessage[] = [];
  let streams = 0;
  const transport = createRouterTransport(({ service }) => {
    service(SignalingService, {
      subscribe: (request) => script(request.message as ClientMessage, streams++, sent, pings),
      send: (request) => {
        const message = request.message as ClientMessage;
        if (!isThere()) throw new ConnectError("away", Code.Unavailable);
        if (message.message.case === "ping") pings.push(message);
        else {
          take(attempts++);
          sent.push(message);
        }
        return {};
      },
    });
  });
  const heard: Said[] = [];
  const connected: boolean[] = [];
  let finish: (error: ConnectError | undefined) => void = () => undefined;
  const over = new Promise<ConnectError | undefined>((resolve) => (finish = resolve));
  const signaling = new Signaling(createClient(SignalingService, transport), {
    said: (message) => heard.push(message),
    connected: (is) => connected.push(is),
    over: finish,
  });
  return { signaling, heard, connected, over, sent, pings };
}

test("a broken stream is resumed after the last message, and nothing is heard twice", async () => {
  const cursors: bigint[] = [];
  const { signaling, heard, connected, over } = talk(async function* (opening, stream) {
    if (stream === 0) {
      yield say(5, joined, "join");
      yield say(6, speakers("a"));
      throw new ConnectError("gone", Code.Unavailable);
    }
    cursors.push(opening.message.case === "resume" ? opening.message.value.cursor : -1n);
    yield say(6, speakers("a"));
    yield say(9, speakers("b"));
    yield say(10, { case: "meetingEnded", value: {} as never });
  });
  await signaling.join("ticket");
  expect(await over).toBeUndefined();
  expect(cursors).toEqual([6n]);
  expect(heard.map((message) => message.case)).toEqual(["speakersChanged", "speakersChanged", "meetingEnded"]);
  expect(connected).toEqual([true, false]);
});

test("a session that is over is not resumed", async () => {
  const { signaling, over } = talk(async function* (_opening, stream) {
    if (stream > 0) throw new ConnectError("expired", Code.Unauthenticated);
    yield say(1, joined, "join");
  });
  await signaling.join("ticket");
  expect((await over)?.code).toBe(Code.Unauthenticated);
});

test("a refused join is told to whoever joins", async () => {
  const { signaling, over } = talk(async function* () {
    await Promise.resolve();
    throw new ConnectError("over", Code.FailedPrecondition);
    yield say(0, joined);
  });
  await expect(signaling.join("ticket")).rejects.toThrow();
  expect((await over)?.code).toBe(Code.FailedPrecondition);
});

test("what can't be sent at first is sent again, and answered", async () => {
  const { signaling, sent } = talk(
    async function* (_opening, _stream, said) {
      yield say(1, joined, "join");
      while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      yield say(2, { case: "accepted", value: {} as never }, said[0]?.id);
      await new Promise(() => undefined);
    },
    (attempt) => {
      if (attempt === 0) throw new ConnectError("restarting", Code.Unavailable);
    },
  );
  await signaling.join("ticket");
  expect((await signaling.ask({ case: "restartIce", value: {} as never })).case).toBe("accepted");
  expect(sent).toHaveLength(1);
  signaling.leave();
});

test("a refusal has the server's reason", async () => {
  const { signaling } = talk(async function* (_opening, _stream, said) {
    yield say(1, joined, "join");
    while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const info = create(ErrorInfoSchema, { reason: "NOT_GRANTED" });
    const status = create(StatusSchema, { code: Code.PermissionDenied, details: [anyPack(ErrorInfoSchema, info)] });
    yield say(2, { case: "refused", value: { status } as never }, said[0]?.id);
    await new Promise(() => undefined);
  });
  await signaling.join("ticket");
  const refused = await signaling.ask({ case: "startMedia", value: {} as never }).catch((error: unknown) => error);
  expect(reasonOf(refused)).toBe("NOT_GRANTED");
  signaling.leave();
});

test("when the network comes back, a stream on which no pong comes is resumed, and one that answers stays", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  try {
    let answers = false;
    const { signaling, pings, connected } = talk(async function* (_opening, stream, _sent, asked) {
      yield say(1 + stream, stream === 0 ? joined : { case: "resumed", value: {} as never }, "join");
      for (let told = 0; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
        if (answers && asked.length > told) yield say(1 + stream, { case: "pong", value: {} as never });
        told = asked.length;
      }
    });
    await signaling.join("ticket");
    signaling.hurry();
    await vi.advanceTimersByTimeAsync(4_000);
    expect(connected).toEqual([true, false, true]);
    answers = true;
    signaling.hurry();
    await vi.advanceTimersByTimeAsync(4_000);
    expect(connected).toEqual([true, false, true]);
    expect(pings.length).toBeGreaterThanOrEqual(4);
    expect(new Set(pings.map(promised))).toEqual(new Set([8n]));
    signaling.leave();
  } finally {
    vi.useRealTimers();
  }
});

test("a stream that says nothing is resumed soon if pings get through, and late if they don't", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  try {
    let isThere = false;
    const mute = async function* (_opening: ClientMessage, stream: number) {
      yield say(1 + stream, stream === 0 ? joined : { case: "resumed", value: {} as never }, "join");
      await new Promise(() => undefined);
    };
    const { signaling, connected } = talk(mute, undefined, () => isThere);
    await signaling.join("ticket");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(connected).toEqual([true]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(connected).toEqual([true, false, true]);
    isThere = true;
    await vi.advanceTimersByTimeAsync(13_000);
    expect(connected).toEqual([true, false, true, false, true]);
    signaling.leave();
  } finally {
    vi.useRealTimers();
  }
});

test("each stream begins with a promise, since whoever vanishes before has promised nothing", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const { signaling, pings } = talk(async function* (_opening, stream) {
      yield say(1 + stream, stream === 0 ? joined : { case: "resumed", value: {} as never }, "join");
      await vi.waitFor(() => expect(pings.length).toBe(1 + stream));
      if (stream === 0) throw new ConnectError("gone", Code.Unavailable);
      await new Promise(() => undefined);
    });
    await signaling.join("ticket");
    await vi.waitFor(() => expect(pings.length).toBe(2));
    expect(pings.map(promised)).toEqual([8n, 8n]);
    signaling.leave();
  } finally {
    vi.useRealTimers();
  }
});
