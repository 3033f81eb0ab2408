import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Reactions, SHOWN_MS } from "./reactions";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const reaction = (emoji: string) => ({ case: "reaction", value: { participant: "bob", emoji } }) as never;

test("a reaction is shown for its time, and the same one again beside it", () => {
  const reactions = new Reactions();
  reactions.said(reaction("👍"));
  vi.advanceTimersByTime(SHOWN_MS / 2);
  reactions.said(reaction("👍"));
  expect(new Set(reactions.snapshot().map(({ key }) => key)).size).toBe(2);
  vi.advanceTimersByTime(SHOWN_MS / 2);
  expect(reactions.snapshot()).toHaveLength(1);
  vi.advanceTimersByTime(SHOWN_MS / 2);
  expect(reactions.snapshot()).toEqual([]);
});

test("however many react, few are shown, and nothing is left to do when the call is over", () => {
  const reactions = new Reactions();
  for (let count = 0; count < 100; count++) reactions.said(reaction("🎉"));
  expect(reactions.snapshot().length).toBeLessThanOrEqual(12);
  reactions.stop();
  expect(vi.getTimerCount()).toBe(0);
  expect(reactions.snapshot()).toEqual([]);
});
