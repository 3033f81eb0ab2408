import { expect, test } from "vitest";
import { toggled } from "./panels";

test("panels are opened beside each other, and closed", () => {
  const open = toggled(toggled([], "people", false), "chat", false);
  expect(open).toEqual(["people", "chat"]);
  expect(toggled(open, "people", false)).toEqual(["chat"]);
});

test("of chat, polls and notes one is open", () => {
  expect(toggled(["chat", "people"], "notes", false)).toEqual(["people", "notes"]);
});

test("where there is little room one panel is open", () => {
  expect(toggled(["chat", "people"], "transcript", true)).toEqual(["transcript"]);
  expect(toggled(["chat"], "chat", true)).toEqual([]);
});
