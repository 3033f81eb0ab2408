import { expect, test } from "vitest";
import { stretches } from "./links";

const links = (text: string) => stretches(text).flatMap(({ href }) => href ?? []);

test("addresses of the web are links, and nothing else is", () => {
  expect(stretches("see https://example.org/a?b=1#c, please")).toEqual([
    { text: "see ", href: undefined },
    { text: "https://example.org/a?b=1#c", href: "https://example.org/a?b=1#c" },
    { text: ", please", href: undefined },
  ]);
  expect(links("javascript:alert(1) data:text/html,x file:///etc ftp://a.b //a.b www.a.b")).toEqual([]);
  expect(stretches("")).toEqual([]);
});

test("no text is lost, wherever the addresses stand", () => {
  for (const text of ["http://a.b", "http://a.b http://c.d", "x http:// y", "（http://a.b）。", "https://a@b.c!"])
    expect(stretches(text).map((each) => each.text).join("")).toBe(text);
});

test("punctuation after an address is none of it, brackets within it are", () => {
  expect(links("(https://a.b/c_(d)). https://e.f/g?! 看https://h.i/j。好")).toEqual([
    "https://a.b/c_(d)",
    "https://e.f/g",
    "https://h.i/j",
  ]);
});

test("an address that only seems to lead somewhere is plain text", () => {
  expect(links("https://bank.example@evil.example/ https://")).toEqual([]);
  expect(links("https://a.b/\u202egpj.exe")).toEqual(["https://a.b/"]);
});
