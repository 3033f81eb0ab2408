/** A month as a calendar shows it: whole weeks, from Monday on, and what is on each day. Pure. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Occurrence } from "../gen/parley/meeting/v1/schedule_pb";
import { addDays, instantOf, wallOf, weekdayOf } from "./zones";

const WEEK = 7;

/** The weeks of the month of a day, each of seven days. */
export function weeksOf(day: string): string[][] {
  const first = `${day.slice(0, 7)}-01`;
  const weeks: string[][] = [];
  let monday = addDays(first, -weekdayOf(first));
  do {
    weeks.push(Array.from({ length: WEEK }, (_, index) => addDays(monday, index)));
    monday = addDays(monday, WEEK);
  } while (monday.slice(0, 7) === first.slice(0, 7));
  return weeks;
}

/** When weeks begin and end on the clock of a zone, in milliseconds since 1970. */
export function spanOf(weeks: readonly (readonly string[])[], zone: string): { startMs: number; endMs: number } {
  const days = weeks.flat();
  return {
    startMs: instantOf(`${days[0] ?? ""}T00:00`, zone),
    endMs: instantOf(`${addDays(days.at(-1) ?? "", 1)}T00:00`, zone),
  };
}

/** What is on each day of a zone: a meeting over midnight is on both days. */
export function byDay(occurrences: readonly Occurrence[], zone: string): ReadonlyMap<string, readonly Occurrence[]> {
  const days = new Map<string, Occurrence[]>();
  for (const each of occurrences) {
    if (each.startTime === undefined || each.endTime === undefined) continue;
    const last = dayOf(timestampMs(each.endTime) - 1, zone);
    for (let day = dayOf(timestampMs(each.startTime), zone); day <= last; day = addDays(day, 1)) days.set(day, [...(days.get(day) ?? []), each]);
  }
  return days;
}

/** The same day of another month, or that month's last. */
export function addMonths(day: string, count: number): string {
  const [year = 0, month = 0] = day.split("-").map(Number);
  const first = new Date(Date.UTC(year, month - 1 + count, 1)).toISOString().slice(0, 10);
  const wanted = addDays(first, Number(day.slice(8)) - 1);
  if (wanted.slice(0, 7) === first.slice(0, 7)) return wanted;
  return addDays(wanted, -Number(wanted.slice(8)));
}

/** The day that a key leads to from a day; undefined for other keys. */
export function dayByKey(day: string, key: string): string | undefined {
  switch (key) {
    case "ArrowLeft":
      return addDays(day, -1);
    case "ArrowRight":
      return addDays(day, 1);
    case "ArrowUp":
      return addDays(day, -WEEK);
    case "ArrowDown":
      return addDays(day, WEEK);
    case "Home":
      return addDays(day, -weekdayOf(day));
    case "End":
      return addDays(day, WEEK - 1 - weekdayOf(day));
    case "PageUp":
      return addMonths(day, -1);
    case "PageDown":
      return addMonths(day, 1);
    default:
      return undefined;
  }
}

/** The day that it is in a zone. */
export function dayOf(ms: number, zone: string): string {
  return wallOf(ms, zone).slice(0, 10);
}
