import { expect, test } from "vitest";
import { concerns, listening, NOTHING_SAID, type Question, questionOf } from "./listening";

const OFF = { captions: false, transcript: false, summary: false, emotions: false };
const ALL = { captions: true, transcript: true, summary: true, emotions: true };
const answered = (...questions: Question[]) => new Set(questions);

test("all that listens or looks is told, in one order", () => {
  expect(listening(undefined, false)).toEqual([]);
  expect(listening(OFF, true)).toEqual(["voice"]);
  expect(listening(ALL, true)).toEqual(["captions", "transcript", "summary", "emotions", "voice"]);
});

test("one is told of captions, then asked of the transcript, then of emotions, each once", () => {
  expect(questionOf(ALL, NOTHING_SAID, answered())).toBe("captions");
  expect(questionOf(ALL, NOTHING_SAID, answered("captions"))).toBe("transcript");
  expect(questionOf(ALL, NOTHING_SAID, answered("captions", "transcript"))).toBe("emotions");
  expect(questionOf(ALL, NOTHING_SAID, answered("captions", "transcript", "emotions"))).toBeUndefined();
  expect(questionOf(undefined, NOTHING_SAID, answered())).toBeUndefined();
});

test("what is off is not asked about", () => {
  expect(questionOf(OFF, NOTHING_SAID, answered())).toBeUndefined();
  expect(questionOf({ ...OFF, captions: true }, NOTHING_SAID, answered("captions"))).toBeUndefined();
  expect(questionOf({ ...OFF, captions: true, summary: true }, NOTHING_SAID, answered("captions"))).toBe("transcript");
});

test("who is not captioned is not asked whether to keep captions", () => {
  const declined = { ...NOTHING_SAID, captionsDeclined: true };
  expect(questionOf(ALL, declined, answered("captions"))).toBe("emotions");
  expect(concerns("captions", declined)).toBe(false);
  expect(concerns("transcript", { ...declined, transcript: true })).toBe(false);
});

test("silence is consent to captions alone", () => {
  const concerned = (["captions", "transcript", "summary", "emotions"] as const).filter((kind) => concerns(kind, NOTHING_SAID));
  expect(concerned).toEqual(["captions"]);
});
