import { expect, test } from "vitest";
import { csv } from "./csv";

test("commas, quotes and new lines stay within their cells", () => {
  expect(csv([["Name", "Minutes"], ['Ann "A", jr.\nB', "3"]])).toBe('\ufeffName,Minutes\r\n"Ann ""A"", jr.\nB",3\r\n');
});

test("a name is never a formula", () => {
  expect(csv([["=HYPERLINK(1)", "@x", "a=b"]])).toBe("\ufeff'=HYPERLINK(1),'@x,a=b\r\n");
});
