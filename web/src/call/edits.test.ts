import { expect, test } from "vitest";
import { chunks, difference, moved } from "./edits";

function edited(text: string, { start, removed, inserted }: ReturnType<typeof difference>): string {
  return text.slice(0, start) + inserted + text.slice(start + removed);
}

test("an edit makes the one text of the other, as small as can be", () => {
  expect(difference("one two", "one and two")).toEqual({ start: 4, removed: 0, inserted: "and " });
  expect(difference("aaa", "aa")).toEqual({ start: 2, removed: 1, inserted: "" });
  const texts = ["", "a", "aa", "aba", "ab ba", "😀", "😁", "a😀b😁", "😀😀", "\n"];
  for (const before of texts)
    for (const after of texts) expect(edited(before, difference(before, after))).toBe(after);
});

test("no character is cut in half", () => {
  expect(difference("😀", "😁")).toEqual({ start: 0, removed: 2, inserted: "😁" });
  expect(difference("\u{1f600}", "\u{10600}")).toEqual({ start: 0, removed: 2, inserted: "\u{10600}" });
  expect(chunks("a😀b", 2)).toEqual(["a", "😀", "b"]);
  expect(chunks("", 2)).toEqual([]);
});

test("a place stays with what it stands after, whatever others change", () => {
  expect(moved(5, [{ retain: 2 }, { insert: "xyz" }])).toBe(8);
  expect(moved(5, [{ retain: 5 }, { insert: "xyz" }])).toBe(5);
  expect(moved(5, [{ retain: 3 }, { delete: 4 }])).toBe(3);
  expect(moved(5, [{ insert: "ab" }, { delete: 1 }, { retain: 1 }, { delete: 1 }])).toBe(5);
});
