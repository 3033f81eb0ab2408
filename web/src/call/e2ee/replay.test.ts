import { expect, test } from "vitest";
import { ReplayWindow, WINDOW } from "./replay";

test("each counter is taken once, in whatever order, as far back as the window", () => {
  const window = new ReplayWindow();
  expect([5, 3, 4, 5, 3].map((counter) => window.take(counter))).toEqual([true, true, true, false, false]);
  expect(window.take(2 + WINDOW)).toBe(true);
  expect([2, 3, 4, 6].map((counter) => window.take(counter))).toEqual([false, false, false, true]);
});

test("after a leap nothing of before is remembered, nor taken", () => {
  const window = new ReplayWindow();
  window.take(7);
  window.take(2 ** 32 - 1);
  expect(window.take(7)).toBe(false);
  expect(window.take(2 ** 32 - WINDOW)).toBe(true);
  expect(window.take(2 ** 32 - WINDOW - 1)).toBe(false);
});
