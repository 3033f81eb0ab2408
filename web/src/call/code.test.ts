import { expect, test } from "vitest";
import { parseCode } from "./code";

test.each([
  ["abc-defg-hij", "abc-defg-hij"],
  ["  ABC-DEFG-HIJ ", "abc-defg-hij"],
  ["abcdefghij", "abc-defg-hij"],
  ["https://meet.example.org/m/abc-defg-hij?x=1", "abc-defg-hij"],
  ["abc-defg", undefined],
  ["", undefined],
])("%s is read as %s", (text, code) => {
  expect(parseCode(text)).toBe(code);
});
