import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { SpeechHypothesisSchema } from "../gen/parley/ai/v1/ai_pb";
import { type Caption, CaptionSchema } from "../gen/parley/signaling/v1/signaling_pb";
import { captioned, type Line, shown, split, textIn, untilOlder } from "./captions";

type Rest = Partial<Pick<Caption, "trackId" | "translations">>;

function said(speech: MessageInitShape<typeof SpeechHypothesisSchema>, rest: Rest = {}): Caption {
  return create(CaptionSchema, { participant: "bob", trackId: "t1", speech: create(SpeechHypothesisSchema, speech), ...rest });
}

function after(...captions: (readonly [Caption, number])[]): readonly Line[] {
  return captions.reduce<readonly Line[]>((lines, [caption, now]) => captioned(lines, caption, now), []);
}

test("hypotheses of a segment replace each other, and stand when final", () => {
  const lines = after(
    [said({ segment: 1, text: "good mourning", stableLength: 5, endTime: { seconds: 1n } }), 2_000],
    [said({ segment: 1, text: "Good morning.", final: true }), 3_000],
    [said({ segment: 1, text: "good mo", stableLength: 2 }), 3_100],
    [said({ segment: 2, text: "Hello" }), 4_000],
  );
  expect(lines.map(({ text, isFinal }) => [text, isFinal])).toEqual([
    ["Good morning.", true],
    ["Hello", false],
  ]);
  expect(lines[0]).toMatchObject({ began: 1_000, changed: 3_000, participant: "bob" });
});

test("what was said is dated by the server's clock", () => {
  const [line] = captioned([], said({ segment: 1, text: "Hi", startTime: { seconds: 3n }, endTime: { seconds: 5n } }), 50_000, 9_000);
  expect(line).toMatchObject({ began: 7_000, changed: 50_000 });
});

test("the same segment of another track is another line", () => {
  const lines = after([said({ segment: 1, text: "one" }), 1], [said({ segment: 1, text: "two" }, { trackId: "t2" }), 2]);
  expect(lines.map(({ text }) => text)).toEqual(["one", "two"]);
});

test("what turns out to be nothing is withdrawn", () => {
  expect(after([said({ segment: 1, text: "I'm sorry" }), 1], [said({ segment: 1, text: "", final: true }), 2])).toEqual([]);
});

test("translations come after the text and don't take each other's place", () => {
  const final = { segment: 1, text: "Good morning.", final: true };
  const lines = after(
    [said(final), 1],
    [said(final, { translations: { zh: "早上好。" } }), 2],
    [said(final, { translations: { fr: "Bonjour." } }), 3],
  );
  expect(lines).toHaveLength(1);
  const [line] = lines;
  if (line === undefined) throw new Error("no line");
  expect(["zh", "fr", "", "de"].map((language) => textIn(line, language))).toEqual([
    "早上好。",
    "Bonjour.",
    "Good morning.",
    "Good morning.",
  ]);
});

test("the newest three lines are shown, fade and go when nothing follows", () => {
  const lines = after(...[1, 2, 3, 4].map((segment) => [said({ segment, text: `line ${segment}` }), 1_000 * segment] as const));
  expect(shown(lines, 4_000).map(({ text }) => text)).toEqual(["line 2", "line 3", "line 4"]);
  expect(untilOlder(shown(lines, 4_000), 4_000)).toBe(5_000);
  expect(shown(lines, 9_000).map(({ isFading }) => isFading)).toEqual([true, false, false]);
  expect(untilOlder(shown(lines, 9_000), 9_000)).toBe(1_000);
  expect(shown(lines, 12_000)).toEqual([]);
  expect(untilOlder([], 12_000)).toBeUndefined();
});

test("what is stable is counted in characters, not in halves of them", () => {
  const [line] = after([said({ segment: 1, text: "😀 早上好", stableLength: 3 }), 1]);
  expect(line && split(line)).toEqual({ stable: "😀 早", guess: "上好" });
});

test("a long meeting does not grow the list without end", () => {
  let lines: readonly Line[] = [];
  for (let segment = 1; segment <= 2_100; segment++) lines = captioned(lines, said({ segment, text: "x", final: true }), segment);
  expect(lines).toHaveLength(2_000);
  expect(lines.at(-1)?.key).toBe("t1 2100");
});
