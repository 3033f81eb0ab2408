import { expect, test } from "vitest";
import { insistently, remaining } from "./breakouts";

test("the time that is left is never less than nothing", () => {
  expect(remaining(600_000, 0)).toBe("10:00");
  expect(remaining(61_001, 0)).toBe("1:02");
  expect(remaining(5_000, 9_000)).toBe("0:00");
});

test("a door that opens late is passed; one that is shut is left at once", async () => {
  let tries = 0;
  const late = () => (++tries < 3 ? Promise.reject(new Error("away")) : Promise.resolve("in"));
  const now = () => Promise.resolve();
  expect(await insistently(late, () => true, now)).toBe("in");
  tries = 0;
  await expect(insistently(late, () => false, now)).rejects.toThrow("away");
  expect(tries).toBe(1);
  const shut = () => Promise.reject(new Error(`${++tries}`));
  await expect(insistently(shut, () => true, now)).rejects.toThrow("5");
});
