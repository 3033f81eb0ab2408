import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";
import { ConnectionQuality } from "../gen/parley/signaling/v1/signaling_pb";
import { wordsIn } from "../i18n";
import { troubleOf } from "./trouble";

const WELL = { phase: "live", media: "up", refusal: undefined, qualities: new Map<string, ConnectionQuality>(), me: "me" } as const;

/** A refusal as it comes from the server, details and all. */
function refused(reason: string): ConnectError {
  return new ConnectError("full", Code.ResourceExhausted, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason }) },
  ]);
}

test("a call in which all is well has nothing to say, a poor connection does", () => {
  expect(troubleOf(WELL, true, wordsIn("en"))).toEqual({ text: "", canTryAgain: false });
  const poor = { ...WELL, qualities: new Map([["me", ConnectionQuality.POOR]]) };
  expect(troubleOf(poor, true, wordsIn("en")).text).toMatch(/^Your connection is poor/);
});

test.each([
  ["ROOM_FULL", "Sound and picture could not be connected. The meeting is full.", "无法接通声音和画面。会议人数已满。"],
  [
    "NODE_FULL",
    "Sound and picture could not be connected. The server carries as many calls as it can just now.",
    "无法接通声音和画面。服务器目前通话已满。",
  ],
])("who is refused with %s reads why, in both languages, and can try again", (reason, en, zh) => {
  const state = { ...WELL, media: "failed", refusal: refused(reason) } as const;
  expect(troubleOf(state, true, wordsIn("en"))).toEqual({ text: en, canTryAgain: true });
  expect(troubleOf(state, true, wordsIn("zh"))).toEqual({ text: zh, canTryAgain: true });
});

test("while it is tried again, one reads why and has nothing to do", () => {
  const state = { ...WELL, media: "building", refusal: refused("NODE_FULL") } as const;
  const text = "The server carries as many calls as it can just now. Trying again …";
  expect(troubleOf(state, true, wordsIn("en"))).toEqual({ text, canTryAgain: false });
  expect(troubleOf(state, true, wordsIn("zh")).text).toBe("服务器目前通话已满。正在重试……");
});

test("who has no way for media at all reads that, and can try again unless there is no network", () => {
  for (const media of ["blocked", "failed"] as const) {
    const { text, canTryAgain } = troubleOf({ ...WELL, media }, true, wordsIn("en"));
    expect(text).toMatch(/^Sound and picture c/);
    expect(canTryAgain).toBe(true);
    expect(troubleOf({ ...WELL, media }, false, wordsIn("en"))).toEqual({ text: "You are offline.", canTryAgain: false });
  }
});
