import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { OccurrenceSchema } from "../gen/parley/meeting/v1/schedule_pb";
import { addMonths, byDay, dayByKey, spanOf, weeksOf } from "./month";

const HOUR_MS = 3_600_000;

function occurrence(title: string, start: string, hours: number) {
  const began = new Date(start);
  const ended = new Date(began.getTime() + hours * HOUR_MS);
  return create(OccurrenceSchema, { title, startTime: timestampFromDate(began), endTime: timestampFromDate(ended) });
}

test("a month is shown in whole weeks from Monday on", () => {
  const weeks = weeksOf("2027-08-17");
  expect(weeks.map((week) => week.length)).toEqual([7, 7, 7, 7, 7, 7]);
  expect([weeks[0]?.[0], weeks[5]?.[6]]).toEqual(["2027-07-26", "2027-09-05"]);
  expect(weeksOf("2027-02-01")).toHaveLength(4);
  expect(weeksOf("2027-12-31").at(-1)).toContain("2028-01-02");
});

test("a month in which the clock changes is an hour short", () => {
  const { startMs, endMs } = spanOf(weeksOf("2027-03-01"), "Europe/Zurich");
  expect(new Date(startMs).toISOString()).toBe("2027-02-28T23:00:00.000Z");
  expect(endMs - startMs).toBe((35 * 24 - 1) * HOUR_MS);
});

test("what is on is found under the days of the viewer's zone", () => {
  const late = occurrence("late", "2027-01-04T23:30:00Z", 1);
  expect([...byDay([late], "UTC").keys()]).toEqual(["2027-01-04", "2027-01-05"]);
  expect([...byDay([late], "Europe/Zurich").keys()]).toEqual(["2027-01-05"]);
  expect([...byDay([late], "America/New_York").keys()]).toEqual(["2027-01-04"]);
});

test("what ends at midnight is not on the next day, and a day has all that is on", () => {
  const one = occurrence("one", "2027-01-04T20:00:00Z", 4);
  const two = occurrence("two", "2027-01-04T21:00:00Z", 1);
  const days = byDay([one, two], "UTC");
  expect([...days.keys()]).toEqual(["2027-01-04"]);
  expect(days.get("2027-01-04")?.map(({ title }) => title)).toEqual(["one", "two"]);
});

test("keys lead from day to day, week to week and month to month", () => {
  const day = "2027-01-31";
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
  expect(keys.map((key) => dayByKey(day, key))).toEqual([
    "2027-01-30",
    "2027-02-01",
    "2027-01-24",
    "2027-02-07",
    "2027-01-25",
    "2027-01-31",
    "2026-12-31",
    "2027-02-28",
  ]);
  expect(dayByKey(day, "a")).toBeUndefined();
  expect(addMonths("2028-02-29", 12)).toBe("2029-02-28");
});
