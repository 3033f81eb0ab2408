import { expect, test } from "vitest";
import { addDays, instantOf, spanText, wallOf, weekdayNames, weekdayOf, zones } from "./zones";

const at = (text: string) => Date.parse(text);

test.each([
  ["Europe/Zurich", "2027-01-04T09:00", "2027-01-04T08:00Z"],
  ["Europe/Zurich", "2027-07-05T09:00", "2027-07-05T07:00Z"],
  ["Asia/Kathmandu", "2027-01-04T00:15", "2027-01-03T18:30Z"],
  ["America/New_York", "2027-01-04T23:59", "2027-01-05T04:59Z"],
  ["Pacific/Kiritimati", "2027-01-01T00:00", "2026-12-31T10:00Z"],
  ["UTC", "2027-12-31T23:59", "2027-12-31T23:59Z"],
])("the clock of %s shows %s at %s", (zone, wall, instant) => {
  expect(instantOf(wall, zone)).toBe(at(instant));
  expect(wallOf(at(instant), zone)).toBe(wall);
});

test("a time that the clock skips is by the offset before the gap", () => {
  expect(instantOf("2027-03-28T02:30", "Europe/Zurich")).toBe(at("2027-03-28T01:30Z"));
  expect(instantOf("2027-03-14T02:30", "America/New_York")).toBe(at("2027-03-14T07:30Z"));
});

test("a time that the clock shows twice is the first", () => {
  expect(instantOf("2027-10-31T02:30", "Europe/Zurich")).toBe(at("2027-10-31T00:30Z"));
  expect(instantOf("2027-11-07T01:30", "America/New_York")).toBe(at("2027-11-07T05:30Z"));
});

test("either side of a change is by its own offset", () => {
  expect(instantOf("2027-03-28T01:59", "Europe/Zurich")).toBe(at("2027-03-28T00:59Z"));
  expect(instantOf("2027-03-28T03:00", "Europe/Zurich")).toBe(at("2027-03-28T01:00Z"));
  expect(instantOf("2027-10-31T03:00", "Europe/Zurich")).toBe(at("2027-10-31T02:00Z"));
});

test("days follow each other over months and years", () => {
  expect(addDays("2027-12-31", 1)).toBe("2028-01-01");
  expect(addDays("2028-03-01", -1)).toBe("2028-02-29");
  expect([weekdayOf("2027-01-04"), weekdayOf("2027-01-10")]).toEqual([0, 6]);
  expect(weekdayNames("en", "short")).toEqual(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
});

test("a span names its day once", () => {
  const text = spanText(at("2027-01-04T08:00Z"), at("2027-01-04T08:45Z"), "Europe/Zurich", "en-GB");
  expect(text.match(/2027/g)).toHaveLength(1);
  expect(text).toContain("9:00");
  expect(text).toContain("9:45");
});

test("a zone that the browser does not list can be chosen if the meeting has it", () => {
  expect(zones("Mars/Olympus", "")).toContain("Mars/Olympus");
  expect(zones().filter((zone) => zone === "UTC")).toHaveLength(1);
  expect(zones()).not.toContain("");
});
