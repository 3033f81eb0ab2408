import { create } from "@bufbuild/protobuf";
import { anyPack, type Any } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb";
import { Emotion } from "../gen/parley/ai/v1/ai_pb";
import { JoinMeetingResponseSchema } from "../gen/parley/meeting/v1/meeting_pb";
import { SettingsSchema } from "../gen/parley/meeting/v1/settings_pb";
import {
  type ClientMessage,
  type ServerMessage,
  ServerMessageSchema,
  SignalingService,
  SubscriptionState,
  TrackSource,
} from "../gen/parley/signaling/v1/signaling_pb";
import { reasonOf } from "../api/errors";
import { Call } from "./call";
import { arriving, nameOf } from "./room";

/** A transceiver of the sending side: its sender has the encodings with which it was made, until others are set. */
class FakeTransceiver {
  direction = "sendonly";
  readonly sender;
  constructor(readonly mid: string, public track: MediaStreamTrack | null, encodings: RTCRtpEncodingParameters[]) {
    let parameters = { encodings } as RTCRtpSendParameters;
    this.sender = {
      track,
      getParameters: () => structuredClone(parameters),
      setParameters: async (set: RTCRtpSendParameters) => void (parameters = structuredClone(set)),
      replaceTrack: async (next: MediaStreamTrack | null) => void (this.track = next),
    };
  }
  setCodecPreferences = () => undefined;
  stop() {
    this.direction = "stopped";
  }
}

/** As much of a peer connection as a call touches. */
class FakeConnection extends EventTarget {
  static opened: FakeConnection[] = [];
  connectionState: RTCPeerConnectionState = "new";
  readonly transceivers: FakeTransceiver[] = [];
  constructor() {
    super();
    FakeConnection.opened.push(this);
  }
  addTransceiver(track: MediaStreamTrack, { sendEncodings }: { sendEncodings: RTCRtpEncodingParameters[] }) {
    const transceiver = new FakeTransceiver(String(this.transceivers.length), track, sendEncodings);
    this.transceivers.push(transceiver);
    return transceiver;
  }
  getTransceivers = () => this.transceivers;
  /** What comes by this connection: tracks by the mid of their section, and those of which something has come. */
  receive(mid: string, track: string) {
    this.transceivers.push({ mid, receiver: { track: { id: track } } } as unknown as FakeTransceiver);
  }
  coming: string[] = [];
  getStats = async () =>
    new Map(
      this.coming.map((trackIdentifier) => [
        trackIdentifier,
        { type: "inbound-rtp", kind: "video", trackIdentifier, framesDecoded: 1 },
      ]),
    );
  createOffer = () => Promise.resolve({ type: "offer", sdp: "v=0" });
  setLocalDescription = () => Promise.resolve();
  setRemoteDescription = () => Promise.resolve();
  close() {
    this.connectionState = "closed";
  }
}

beforeEach(() => {
  FakeConnection.opened = [];
  vi.stubGlobal("RTCPeerConnection", FakeConnection);
  vi.stubGlobal("RTCRtpSender", { getCapabilities: () => ({ codecs: [] }) });
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
});

afterEach(() => void vi.useRealTimers());

/** A room that lets one in, answers what it is asked, and says what it is told to say. `refusals` are for who starts media. */
function room(refusals: Any[][] = [], mutes: ReadonlySet<string> = new Set()) {
  const asked: ClientMessage["message"][] = [];
  const queue: ServerMessage[] = [];
  let wake: () => void = () => undefined;
  let sequence = 0n;
  const say = (message: ServerMessage["message"], replyTo = "") => {
    queue.push(create(ServerMessageSchema, { sequence: ++sequence, replyTo, message }));
    wake();
  };
  const me = { name: "meetings/m/participants/me", displayName: "Me" };
  const transport = createRouterTransport(({ service }) => {
    service(SignalingService, {
      async *subscribe() {
        say({ case: "joined", value: { sessionToken: "s.secret", participant: me, participants: [me] } as never }, "join");
        for (;;) {
          for (let next = queue.shift(); next !== undefined; next = queue.shift()) yield next;
          await new Promise<void>((resolve) => (wake = resolve));
        }
      },
      send: ({ message }) => {
        if (message?.message.case === "ping") {
          say({ case: "pong", value: {} as never });
          return {};
        }
        asked.push(message?.message ?? { case: undefined });
        const answer =
          message?.message.case === "publishOffer"
            ? message.message.value.tracks.map(({ mid, muted }) => ({ mid, trackId: `track ${mid}`, muted: muted || mutes.has(mid) }))
            : undefined;
        const refusal = message?.message.case === "startMedia" ? refusals.shift() : undefined;
        if (refusal !== undefined) {
          const status = { code: Code.ResourceExhausted, message: "full", details: refusal };
          say({ case: "refused", value: { status } as never }, message?.id);
        } else if (answer === undefined) say({ case: "accepted", value: {} as never }, message?.id);
        else say({ case: "publishAnswer", value: { sdp: "v=0", tracks: answer } as never }, message?.id);
        return {};
      },
    });
  });
  const track = (kind: string) => ({ kind, enabled: true }) as MediaStreamTrack;
  const own = { microphone: track("audio"), camera: track("video") };
  const call = new Call(createClient(SignalingService, transport), create(JoinMeetingResponseSchema, {}), own);
  const cases = () => asked.map((message) => message.case);
  return { call, say, asked, cases };
}

test("microphone and camera are offered together, once", async () => {
  const { call, cases } = room();
  await call.start();
  expect(cases()).toEqual(["startMedia", "publishOffer"]);
  expect(call.state).toMatchObject({ phase: "live", media: "up" });
  await call.mute("microphone", true);
  expect(cases()).toEqual(["startMedia", "publishOffer", "setTrackMuted"]);
});

test("when the media node is lost, both connections are built anew, and what is muted stays muted", async () => {
  const { call, say, asked } = room();
  await call.start();
  await call.mute("camera", true);
  say({ case: "mediaReset", value: {} as never });
  await vi.waitFor(() => expect(asked).toHaveLength(5));
  const again = asked[4];
  expect(again?.case === "publishOffer" && again.value.tracks.map(({ muted }) => muted)).toEqual([false, true]);
  await vi.waitFor(() => expect(call.state.media).toBe("up"));
  expect(FakeConnection.opened.map(({ connectionState }) => connectionState)).toEqual(["closed", "closed", "new", "new"]);
});

test("what a host mutes is told and stays muted; what we mute ourselves is not", async () => {
  const { call, say, asked } = room();
  await call.start();
  const told = (muted: boolean) => {
    const track = { id: "track 0", participant: call.state.me, source: TrackSource.MICROPHONE, muted };
    say({ case: "trackUpdated", value: { track } as never });
  };
  await call.mute("microphone", true);
  await call.mute("microphone", false);
  told(true); // what we have said ourselves comes back late
  told(false);
  await vi.waitFor(() => expect(call.state.tracks).toMatchObject([{ muted: false }]));
  expect(call.state.silenced).toBeUndefined();
  told(true);
  await vi.waitFor(() => expect(call.state.silenced).toEqual({ source: "microphone", by: "host", count: 1 }));
  const before = asked.length;
  await call.mute("microphone", true);
  expect(asked).toHaveLength(before); // the room knows
  await call.mute("microphone", false);
  expect(asked.at(-1)).toMatchObject({ case: "setTrackMuted", value: { muted: false } });
});

test("who begins muted is told so once, and unmutes", async () => {
  const { call, say, asked } = room([], new Set(["0"]));
  await call.start();
  expect(call.state.silenced).toEqual({ source: "microphone", by: "entry", count: 1 });
  const track = { id: "track 0", participant: call.state.me, source: TrackSource.MICROPHONE, muted: true };
  say({ case: "trackPublished", value: { track } as never });
  await vi.waitFor(() => expect(call.state.tracks).toMatchObject([{ muted: true }]));
  expect(call.state.silenced).toMatchObject({ count: 1 });
  await call.mute("microphone", false);
  expect(asked.at(-1)).toMatchObject({ case: "setTrackMuted", value: { trackId: "track 0", muted: false } });
});

test("who has begun muted by themselves is not told", async () => {
  const { call } = room([], new Set(["0"]));
  await call.mute("microphone", true);
  await call.start();
  expect(call.state.silenced).toBeUndefined();
});

test("what a host takes away is published no more, and silent when it is given back", async () => {
  const { call, say, asked } = room();
  await call.start();
  const granted = (publishAudio: boolean) => {
    const grants = { publishAudio, publishVideo: true, publishScreen: true };
    say({ case: "participantUpdated", value: { participant: { name: call.state.me, displayName: "Me", grants } } as never });
  };
  const offers = () => asked.flatMap((each) => (each.case === "publishOffer" ? [each.value.tracks.map(({ muted }) => muted)] : []));
  granted(false);
  await vi.waitFor(() => expect(offers()).toEqual([[false, false], [false]]));
  expect(call.state.silenced).toMatchObject({ source: "microphone" });
  granted(true);
  await vi.waitFor(() => expect(offers()).toEqual([[false, false], [false], [false, true]]));
});

test("a path that breaks is shown as interrupted until it is back", async () => {
  const { call } = room();
  await call.start();
  const connection = FakeConnection.opened[0];
  const move = (state: RTCPeerConnectionState) => {
    if (connection === undefined) throw new Error("no connection");
    connection.connectionState = state;
    connection.dispatchEvent(new Event("connectionstatechange"));
  };
  move("disconnected");
  expect(call.state.media).toBe("interrupted");
  move("connected");
  expect(call.state.media).toBe("up");
});

test("who comes and goes is told, oneself excepted", async () => {
  const { call, say } = room();
  await call.start();
  say({ case: "participantJoined", value: { participant: ann } as never });
  await vi.waitFor(() => expect(call.state.news).toEqual({ kind: "joined", displayName: "Ann", count: 1 }));
  say({ case: "participantLeft", value: { participant: ann.name } as never });
  await vi.waitFor(() => expect(call.state.news).toEqual({ kind: "left", displayName: "Ann", count: 2 }));
  expect(call.state.participants.map(({ displayName }) => displayName)).toEqual(["Me"]);
  expect(nameOf(call.state, ann.name)).toBe("Ann");
});

test("a meeting that was ended stays ended, also when the page then leaves it", async () => {
  const { call, say } = room();
  await call.start();
  say({ case: "meetingEnded", value: {} as never });
  await vi.waitFor(() => expect(call.state.phase).toBe("over"));
  call.leave();
  expect(call.state.ending).toBe("ended");
});

/** The encodings of the sender of a section, as text: "q h" for those that are sent. */
const sent = (mid: string) =>
  FakeConnection.opened[1]?.transceivers
    .find((each) => each.mid === mid)
    ?.sender.getParameters()
    .encodings.flatMap(({ rid, active }) => (active === true ? [rid] : []))
    .join(" ");

test("layers of the camera that nobody watches are not sent, until somebody does", async () => {
  const { call, say } = room();
  await call.start();
  await vi.waitFor(() => expect(sent("1")).toBe("q h f"));
  say({ case: "layersWanted", value: { trackId: "track 1", rids: ["q"] } as never });
  await vi.waitFor(() => expect(sent("1")).toBe("q"));
  say({ case: "layersWanted", value: { trackId: "track 1", rids: [] } as never });
  await vi.waitFor(() => expect(sent("1")).toBe(""));
  say({ case: "layersWanted", value: { trackId: "track 1", rids: ["q", "h"] } as never });
  await vi.waitFor(() => expect(sent("1")).toBe("q h"));
});

test("a screen is published beside the camera, and no more when it ends", async () => {
  const { call, asked } = room();
  await call.start();
  const screen = { kind: "video", enabled: true, contentHint: "detail" } as MediaStreamTrack;
  await call.setOwn("screen", screen);
  await call.setOwn("screen", null);
  const offers = asked.flatMap((message) => (message.case === "publishOffer" ? [message.value.tracks] : []));
  expect(offers.map((tracks) => tracks.map(({ source }) => source))).toEqual([
    [TrackSource.MICROPHONE, TrackSource.CAMERA],
    [TrackSource.MICROPHONE, TrackSource.CAMERA, TrackSource.SCREEN],
    [TrackSource.MICROPHONE, TrackSource.CAMERA],
  ]);
});

const ann = { name: "meetings/m/participants/ann", displayName: "Ann" };
const camera = (id: string) => ({ id, participant: ann.name, source: TrackSource.CAMERA, muted: false });

/** A call in which Ann's camera comes by the first of two paths, and the node has said that it moves the room. */
async function moving() {
  vi.useFakeTimers();
  const { call, say, cases } = room();
  await call.start();
  const [from] = FakeConnection.opened;
  from?.receive("0", "old");
  say({ case: "participantJoined", value: { participant: ann } as never });
  say({ case: "trackPublished", value: { track: camera("t1") } as never });
  say({ case: "subscribeOffer", value: { sdp: "v=0", revision: 1, tracks: [{ mid: "0", trackId: "t1" }] } as never });
  await vi.advanceTimersByTimeAsync(0);
  if (from !== undefined) from.coming = ["old"];
  say({ case: "mediaMoving", value: { notice: { seconds: 10n, nanos: 0 } } as never });
  await vi.advanceTimersByTimeAsync(0);
  const to = FakeConnection.opened[2];
  if (to === undefined) throw new Error("no second path");
  to.receive("0", "new");
  say({ case: "trackPublished", value: { track: camera("t2") } as never });
  say({ case: "subscribeOffer", value: { sdp: "v=0", revision: 1, tracks: [{ mid: "0", trackId: "t2" }] } as never });
  await vi.advanceTimersByTimeAsync(0);
  const shown = () => arriving(call.state, ann.name, "camera").map(({ track }) => track.id);
  const states = () => FakeConnection.opened.map(({ connectionState }) => connectionState);
  return { call, say, cases, to, shown, states };
}

test("when the room moves, the old path goes on until all comes by the new one", async () => {
  const { call, cases, to, shown, states } = await moving();
  expect(cases().filter((each) => each === "startMedia" || each === "publishOffer")).toHaveLength(4);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(states()).toEqual(["new", "new", "new", "new"]);
  expect(shown()).toEqual(["old", "new"]);
  expect(call.state.media).toBe("up");
  to.coming = ["new"];
  await vi.advanceTimersByTimeAsync(300);
  expect([...call.state.arrived]).toEqual(["t2"]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(states()).toEqual(["closed", "closed", "new", "new"]);
  expect(shown()).toEqual(["new"]);
});

test("when the room moves, the old path is given up when its time is over", async () => {
  const { states, shown } = await moving();
  await vi.advanceTimersByTimeAsync(9_000);
  expect(states()).toEqual(["new", "new", "new", "new"]);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(states()).toEqual(["closed", "closed", "new", "new"]);
  expect(shown()).toEqual(["new"]);
});

test("while the room moves, what one mutes is muted by both paths, and told once", async () => {
  const { call, cases } = await moving();
  await call.mute("camera", true);
  expect(cases().filter((each) => each === "setTrackMuted")).toHaveLength(1);
  await call.setOwn("camera", null);
  const places = [FakeConnection.opened[1], FakeConnection.opened[3]].map((each) => each?.transceivers[1]?.track);
  expect(places).toEqual([null, null]);
});

test("a camera that is starved is known as such until it is back", async () => {
  const { call, say } = room();
  await call.start();
  say({ case: "subscriptionChanged", value: { trackId: "t1", state: SubscriptionState.STARVED, rid: "" } as never });
  await vi.waitFor(() => expect(call.state.deliveries.get("t1")?.starved).toBe(true));
  say({ case: "subscriptionChanged", value: { trackId: "t1", state: SubscriptionState.ACTIVE, rid: "h" } as never });
  await vi.waitFor(() => expect(call.state.deliveries.get("t1")).toEqual({ starved: false, rid: "h" }));
});

const MEETING_IS_FULL = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "ROOM_FULL" }))];
const NODES_ARE_FULL = [
  anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "NODE_FULL" })),
  anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: { seconds: 5n, nanos: 0 } })),
];

const places = (cases: readonly (string | undefined)[]) => cases.filter((each) => each === "startMedia").length;

test("who comes to a full meeting is told so at once, and comes in when there is room", async () => {
  const { call, cases } = room([MEETING_IS_FULL]);
  await call.start();
  expect(cases()).toEqual(["startMedia"]);
  expect(call.state).toMatchObject({ phase: "live", media: "failed" });
  expect(reasonOf(call.state.refusal)).toBe("ROOM_FULL");
  await call.buildMedia();
  expect(call.state).toMatchObject({ media: "up", refusal: undefined });
});

test("a server that is full is asked again, no sooner than it says, and it is known meanwhile why there is no media", async () => {
  vi.useFakeTimers();
  const { call, cases } = room([NODES_ARE_FULL, NODES_ARE_FULL]);
  void call.start();
  await vi.advanceTimersByTimeAsync(4_900);
  expect(places(cases())).toBe(1);
  expect(call.state.media).toBe("building");
  expect(reasonOf(call.state.refusal)).toBe("NODE_FULL");
  await vi.advanceTimersByTimeAsync(15_000);
  expect(places(cases())).toBe(3);
  expect(call.state).toMatchObject({ media: "up", refusal: undefined });
});

test("a server that stays full is given up after a while", async () => {
  vi.useFakeTimers();
  const { call, cases } = room(Array.from({ length: 9 }, () => NODES_ARE_FULL));
  void call.start();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(places(cases())).toBe(5);
  expect(call.state.media).toBe("failed");
  expect(reasonOf(call.state.refusal)).toBe("NODE_FULL");
});

test("where nothing gets through for long, that is known until something does", async () => {
  vi.useFakeTimers();
  const { call } = room();
  void call.start();
  await vi.advanceTimersByTimeAsync(0);
  const move = (state: RTCPeerConnectionState) => {
    for (const connection of FakeConnection.opened) {
      connection.connectionState = state;
      connection.dispatchEvent(new Event("connectionstatechange"));
    }
  };
  move("connecting");
  await vi.advanceTimersByTimeAsync(10_000);
  move("connected");
  await vi.advanceTimersByTimeAsync(20_000);
  expect(call.state.media).toBe("up");
  move("connecting");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(call.state.media).toBe("up");
  move("failed");
  expect(call.state.media).toBe("interrupted");
  await vi.advanceTimersByTimeAsync(6_000);
  expect(call.state.media).toBe("blocked");
  move("connecting");
  expect(call.state.media).toBe("blocked");
  move("connected");
  expect(call.state.media).toBe("up");
  await vi.advanceTimersByTimeAsync(20_000);
  expect(call.state.media).toBe("up");
});

test("captions are heard one by one, and what a face shows is forgotten when faces are not read any more", async () => {
  const { call, say } = room();
  await call.start();
  const speech = { segment: 1, text: "Good morning.", final: true };
  say({ case: "caption", value: { participant: "ann", trackId: "t", speech, translations: {} } as never });
  say({ case: "emotionDetected", value: { emotion: Emotion.HAPPY, confidence: 0.8 } as never });
  await vi.waitFor(() => expect(call.heard.snapshot().emotion?.emotion).toBe(Emotion.HAPPY));
  expect(call.heard.snapshot().lines.map(({ text }) => text)).toEqual(["Good morning."]);
  say({ case: "settingsChanged", value: { settings: create(SettingsSchema, { captions: true }) } as never });
  await vi.waitFor(() => expect(call.state.settings?.captions).toBe(true));
  expect(call.heard.snapshot().emotion).toBeUndefined();
});

test("settings are known by asking, until the room is told of others", async () => {
  const { call, say } = room();
  await call.start();
  call.learn(create(SettingsSchema, { captions: true }));
  expect(call.state.settings?.captions).toBe(true);
  say({ case: "settingsChanged", value: { settings: create(SettingsSchema, { captions: false }) } as never });
  await vi.waitFor(() => expect(call.state.settings?.captions).toBe(false));
});

test("hands are in the order of raising, and who raises one is told of, oneself excepted", async () => {
  const { call, say, asked } = room();
  await call.start();
  const ann = { name: "meetings/m/participants/ann", displayName: "Ann" };
  say({ case: "participantJoined", value: { participant: ann } as never });
  say({ case: "handsChanged", value: { hands: [ann.name] } as never });
  await vi.waitFor(() => expect(call.state.news).toMatchObject({ kind: "hand", displayName: "Ann", count: 2 }));
  say({ case: "handsChanged", value: { hands: [ann.name, call.state.me] } as never });
  await vi.waitFor(() => expect(call.state.hands).toEqual([ann.name, call.state.me]));
  expect(call.state.news?.count).toBe(2);
  await call.setHand(false, ann.name);
  expect(asked.at(-1)).toMatchObject({ case: "setHandRaised", value: { raised: false, participant: ann.name } });
});
