import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { TranscriptSegmentSchema } from "../gen/parley/meeting/v1/transcript_pb";
import type { Line } from "./captions";
import { clock, entriesOf, entryAt, found, keptEntry, pieces } from "./transcript";

function kept(text: string, began: number, participant = "bob") {
  const segment = { name: `meetings/m/transcript/${began}`, participant, displayName: "Bob", text, startTime: timestampFromMs(began) };
  return keptEntry(create(TranscriptSegmentSchema, segment));
}

function heard(text: string, began: number, rest: Partial<Line> = {}): Line {
  const key = `t ${began}`;
  return { key, participant: "bob", text, stableLength: 0, isFinal: true, translations: {}, began, changed: began, ...rest };
}

const nameOf = (participant: string) => participant.toUpperCase();

test("what was heard follows what is kept, and nothing is there twice", () => {
  const lines = [heard("Second.", 21_000), heard("Not yet", 40_000, { isFinal: false }), heard("Third.", 30_000)];
  const entries = entriesOf([kept("First.", 10_000), kept("Second.", 20_000)], lines, "", nameOf);
  expect(entries.map(({ displayName, text }) => `${displayName}: ${text}`)).toEqual(["Bob: First.", "Bob: Second.", "BOB: Third."]);
});

test("the same words of somebody else, or much later, are said again", () => {
  const lines = [heard("Yes.", 11_000, { participant: "ann", key: "a" }), heard("Yes.", 60_000)];
  expect(entriesOf([kept("Yes.", 10_000)], lines, "", nameOf)).toHaveLength(3);
});

test("what is heard is read in the language that was chosen", () => {
  const line = heard("Good morning.", 1, { translations: { zh: "早上好。" } });
  expect(entriesOf([], [line], "zh", nameOf)[0]?.text).toBe("早上好。");
});

test("what is looked for is marked, be its signs special or its case another", () => {
  expect(pieces("What? WHAT?", "what?")).toEqual([
    { text: "What?", isHit: true },
    { text: " ", isHit: false },
    { text: "WHAT?", isHit: true },
  ]);
  for (const sign of ".*+?^${}()|[]\\/-") expect(pieces(`a${sign}b`, sign).map(({ isHit }) => isHit)).toEqual([false, true, false]);
  expect(pieces("text", " ")).toEqual([{ text: "text", isHit: false }]);
  expect(found([kept("我们下周发布", 1), kept("再见", 2)], "下周").map(({ text }) => text)).toEqual(["我们下周发布"]);
});

test("a time leads to what was said then", () => {
  const entries = [kept("a", 10), kept("b", 20), kept("c", 30)];
  expect([5, 20, 29, 99].map((time) => entryAt(entries, time)?.text)).toEqual(["a", "b", "b", "c"]);
  expect(entryAt([], 5)).toBeUndefined();
});

test.each([
  [-5, "00:00"],
  [62_900, "01:02"],
  [3_723_000, "1:02:03"],
])("%i milliseconds are %s", (milliseconds, text) => expect(clock(milliseconds)).toBe(text));
