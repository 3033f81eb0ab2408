import { expect, test } from "vitest";
import { sharesOf } from "./mood";

test("the mood is told from the largest share on, without what is next to nothing or unknown", () => {
  expect(sharesOf({ shares: { happy: 0.3, neutral: 0.55, sad: 0.04, surprised: 0.11, bored: 0.5 } })).toEqual([
    { name: "neutral", percent: 55, from: 0 },
    { name: "happy", percent: 30, from: 55 },
    { name: "surprised", percent: 11, from: 85 },
  ]);
});
