import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { beforeEach, expect, test, vi } from "vitest";
import { JoinMeetingResponseSchema } from "../gen/parley/meeting/v1/meeting_pb";
import {
  type ClientMessage,
  type ServerMessage,
  ServerMessageSchema,
  SignalingService,
} from "../gen/parley/signaling/v1/signaling_pb";
import { Call } from "./call";

/** As much of a peer connection as a call touches. */
class FakeConnection extends EventTarget {
  static opened: FakeConnection[] = [];
  connectionState: RTCPeerConnectionState = "new";
  readonly transceivers: { mid: string; setCodecPreferences: () => void }[] = [];
  constructor() {
    super();
    FakeConnection.opened.push(this);
  }
  addTransceiver() {
    const transceiver = { mid: String(this.transceivers.length), setCodecPreferences: () => undefined };
    this.transceivers.push(transceiver);
    return transceiver;
  }
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
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
});

/** A room that lets one in, answers what it is asked, and says what it is told to say. */
function room() {
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
        asked.push(message?.message ?? { case: undefined });
        const answer =
          message?.message.case === "publishOffer"
            ? message.message.value.tracks.map(({ mid }) => ({ mid, trackId: `track ${mid}` }))
            : undefined;
        if (answer === undefined) say({ case: "accepted", value: {} as never }, message?.id);
        else say({ case: "publishAnswer", value: { sdp: "v=0", tracks: answer } as never }, message?.id);
        return {};
      },
    });
  });
  const track = (kind: string) => ({ kind, enabled: true }) as MediaStreamTrack;
  const own = { audio: track("audio"), video: track("video") };
  const call = new Call(createClient(SignalingService, transport), create(JoinMeetingResponseSchema, {}), own);
  const cases = () => asked.map((message) => message.case);
  return { call, say, asked, cases };
}

test("microphone and camera are offered together, once", async () => {
  const { call, cases } = room();
  await call.start();
  expect(cases()).toEqual(["startMedia", "publishOffer"]);
  expect(call.state).toMatchObject({ phase: "live", media: "up" });
  await call.mute("audio", true);
  expect(cases()).toEqual(["startMedia", "publishOffer", "setTrackMuted"]);
});

test("when the media node is lost, both connections are built anew, and what is muted stays muted", async () => {
  const { call, say, asked } = room();
  await call.start();
  await call.mute("video", true);
  say({ case: "mediaReset", value: {} as never });
  await vi.waitFor(() => expect(asked).toHaveLength(5));
  const again = asked[4];
  expect(again?.case === "publishOffer" && again.value.tracks.map(({ muted }) => muted)).toEqual([false, true]);
  await vi.waitFor(() => expect(call.state.media).toBe("up"));
  expect(FakeConnection.opened.map(({ connectionState }) => connectionState)).toEqual(["closed", "closed", "new", "new"]);
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
  const ann = { name: "meetings/m/participants/ann", displayName: "Ann" };
  say({ case: "participantJoined", value: { participant: ann } as never });
  await vi.waitFor(() => expect(call.state.news).toEqual({ kind: "joined", displayName: "Ann", count: 1 }));
  say({ case: "participantLeft", value: { participant: ann.name } as never });
  await vi.waitFor(() => expect(call.state.news).toEqual({ kind: "left", displayName: "Ann", count: 2 }));
  expect(call.state.participants.map(({ displayName }) => displayName)).toEqual(["Me"]);
});

test("a meeting that was ended stays ended, also when the page then leaves it", async () => {
  const { call, say } = room();
  await call.start();
  say({ case: "meetingEnded", value: {} as never });
  await vi.waitFor(() => expect(call.state.phase).toBe("over"));
  call.leave();
  expect(call.state.ending).toBe("ended");
});
