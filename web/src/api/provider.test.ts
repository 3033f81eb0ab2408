import { beforeEach, expect, test } from "vitest";
import { keepBegun, takeAnswer } from "./provider";

const BEGUN = { name: "identityProviders/work", state: "s1", goal: "/m/abc-defg-hij#key=k" };
let kept: Map<string, string>;
const store = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value),
  removeItem: (key: string) => void kept.delete(key),
};
beforeEach(() => {
  kept = new Map();
});

const sent = (query: string) => new URLSearchParams(query);

test("what comes back to the tab that has begun is taken, once", () => {
  keepBegun(store, BEGUN);
  expect(takeAnswer(store, "work", sent("code=c&state=s1"))).toEqual({ ...BEGUN, code: "c" });
  expect(takeAnswer(store, "work", sent("code=c&state=s1"))).toBeUndefined();
});

test.each([
  ["another state", "work", "code=c&state=s2"],
  ["no state", "work", "code=c"],
  ["another provider", "home", "code=c&state=s1"],
  ["no code, since the provider has refused", "work", "error=access_denied&state=s1"],
])("%s is no answer", (_, id, query) => {
  keepBegun(store, BEGUN);
  expect(takeAnswer(store, id, sent(query))).toBeUndefined();
});

test("a tab that has begun nothing takes nothing", () => {
  expect(takeAnswer(store, "work", sent("code=c&state=s1"))).toBeUndefined();
});
