import { expect, test } from "vitest";
import { parseCode } from "../code";
import { newSecret, pathTo, secretOf } from "./secret";

test("a link keeps its secret after the #, and both are found again", () => {
  const secret = newSecret();
  const link = `https://meet.example.org${pathTo("abc-defg-hij", secret)}`;
  expect(new URL(link).pathname).toBe("/m/abc-defg-hij");
  expect(secretOf(link)).toBe(secret);
  expect(secretOf(` ${new URL(link).hash} `)).toBe(secret);
  expect(parseCode(link)).toBe("abc-defg-hij");
  expect(pathTo("abc-defg-hij", undefined)).toBe("/m/abc-defg-hij");
});

test.each(["abc-defg-hij", "#key=", "#key=short", `#key=${"a".repeat(23)}`, `#key=${"*".repeat(22)}`, ""])(
  "%s has no secret",
  (text) => expect(secretOf(text)).toBeUndefined(),
);

test("secrets differ", () => {
  expect(new Set(Array.from({ length: 100 }, newSecret)).size).toBe(100);
});
