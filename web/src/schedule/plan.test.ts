import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ScheduleSchema } from "../gen/parley/meeting/v1/schedule_pb";
import { addressesIn, isOver, leftOut, moved, newPlan, planIn, planOf, scheduleOf } from "./plan";

const NINE = new Date("2027-01-04T08:00:00Z");
const FORM = { begin: "2027-01-04T09:00", minutes: "45", zone: "Europe/Zurich", repeat: "weekly", "day.TU": "on" };

test("a form is read as a plan whose first day is one of those chosen", () => {
  const plan = planIn(FORM);
  expect(plan?.begin).toBe("2027-01-05T09:00");
  const { startTime, duration, ...rest } = scheduleOf(plan ?? newPlan(0, "UTC"));
  expect(new Date(timestampMs(startTime)).toISOString()).toBe("2027-01-05T08:00:00.000Z");
  expect(Number(duration.seconds)).toBe(45 * 60);
  expect(rest).toEqual({ timeZone: "Europe/Zurich", recurrence: "FREQ=WEEKLY;BYDAY=TU" });
});

test.each([{ begin: "" }, { minutes: "" }, { minutes: "0" }])("a form is no plan as long as it has no time: %j", (lack) => {
  expect(planIn({ ...FORM, ...lack })).toBeUndefined();
});

test("a meeting's plan is on its own zone's clock", () => {
  const schedule = create(ScheduleSchema, {
    startTime: timestampFromDate(NINE),
    duration: durationFromMs(30 * 60_000),
    timeZone: "Europe/Zurich",
    recurrence: "FREQ=DAILY",
    exceptions: [timestampFromDate(NINE), timestampFromDate(new Date("2027-01-06T08:00:00Z"))],
  });
  expect(planOf(schedule)).toMatchObject({ begin: "2027-01-04T09:00", minutes: 30, recurrence: { repeat: "daily" } });
  expect(leftOut(schedule, NINE.getTime())).toEqual([new Date("2027-01-06T08:00:00Z")]);
});

test("a meeting is moved with the days on which it is left out, and not moved to where it is", () => {
  const schedule = create(ScheduleSchema, {
    name: "meetings/abc-defg-hij/schedule",
    etag: "3",
    startTime: timestampFromDate(NINE),
    timeZone: "Europe/Zurich",
    recurrence: "FREQ=DAILY",
    exceptions: [timestampFromDate(new Date("2027-07-05T07:00:00Z"))],
  });
  const plan = planOf(schedule);
  expect(moved(schedule, plan)).toBeUndefined();
  const later = moved(schedule, { ...plan, begin: "2027-01-04T10:30" });
  expect(later?.etag).toBe("3");
  expect(later?.exceptions.map(timestampMs)).toEqual([Date.parse("2027-07-05T08:30:00Z")]);
});

test("a new form begins with a time to come", () => {
  expect(newPlan(Date.parse("2027-01-04T08:01:00Z"), "Europe/Zurich").begin).toBe("2027-01-04T10:00");
  expect(newPlan(Date.parse("2027-01-04T08:00:00Z"), "UTC").begin).toBe("2027-01-04T08:30");
});

test("what is once is over when it has ended, what recurs is not", () => {
  const plan = { ...newPlan(NINE.getTime(), "UTC"), begin: "2027-01-04T07:00" };
  expect(isOver(plan, NINE.getTime())).toBe(true);
  expect(isOver({ ...plan, minutes: 61 }, NINE.getTime())).toBe(false);
  expect(isOver({ ...plan, recurrence: { ...plan.recurrence, repeat: "daily" } }, NINE.getTime())).toBe(false);
});

test("addresses are read one a line, once each, and what is none is told", () => {
  const text = "ann@example.org\n bob@example.org, ann@example.org\n\nnobody\nx@y";
  expect(addressesIn(text)).toEqual({ addresses: ["ann@example.org", "bob@example.org"], wrong: ["nobody", "x@y"] });
});
