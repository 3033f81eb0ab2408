/** What a filled-in form plans: when, and who is asked to come. Pure. */
import { durationFromMs, durationMs, type Timestamp, timestampDate, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Schedule } from "../gen/parley/meeting/v1/schedule_pb";
import { firstDay, ONCE, type Recurrence, recurrenceIn, recurrenceOf, ruleOf } from "./recurrence";
import { instantOf, wallOf } from "./zones";

const MINUTE_MS = 60_000;
const HALF_HOUR_MS = 30 * MINUTE_MS;
const DEFAULT_MINUTES = 60;
const ADDRESS = /^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/;

export interface Plan {
  /** The first time, on the clock of the zone: `2027-01-31T09:00`. */
  readonly begin: string;
  readonly minutes: number;
  readonly zone: string;
  readonly recurrence: Recurrence;
}

/** What to begin a new form with: in the next half hour but one. */
export function newPlan(nowMs: number, zone: string): Plan {
  const soon = Math.ceil(nowMs / HALF_HOUR_MS) * HALF_HOUR_MS + HALF_HOUR_MS;
  return { begin: wallOf(soon, zone), minutes: DEFAULT_MINUTES, zone, recurrence: ONCE };
}

/** A meeting's plan as it stands. */
export function planOf(schedule: Schedule): Plan {
  const zone = schedule.timeZone;
  const begin = wallOf(schedule.startTime === undefined ? 0 : timestampMs(schedule.startTime), zone);
  return { begin, minutes: lengthMs(schedule) / MINUTE_MS, zone, recurrence: recurrenceOf(schedule.recurrence, begin.slice(0, 10)) };
}

/** The plan in a filled-in form; undefined as long as it has no time. The first day is one of the weekdays chosen. */
export function planIn(values: Record<string, string>): Plan | undefined {
  const { begin = "", zone = "UTC" } = values;
  const minutes = Number(values.minutes ?? "");
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(begin) || !(minutes >= 1)) return undefined;
  const recurrence = recurrenceIn(values);
  return { begin: `${firstDay(recurrence, begin.slice(0, 10))}${begin.slice(10)}`, minutes, zone, recurrence };
}

/** A plan as the server takes it. */
export function scheduleOf({ begin, minutes, zone, recurrence }: Plan) {
  return {
    startTime: timestampFromMs(instantOf(begin, zone)),
    duration: durationFromMs(minutes * MINUTE_MS),
    timeZone: zone,
    recurrence: ruleOf(recurrence, begin.slice(0, 10)),
  };
}

/** What UpdateSchedule takes to move a meeting to a plan: the times that are left out stay so, on their days. Undefined: it is there. */
export function moved(schedule: Schedule, plan: Plan) {
  const [now, wanted] = [scheduleOf(planOf(schedule)), scheduleOf(plan)];
  if (JSON.stringify(now, digits) === JSON.stringify(wanted, digits)) return undefined;
  const times = schedule.exceptions.map((each) => `${dayIn(each, schedule.timeZone)}${plan.begin.slice(10)}`);
  const exceptions = times.map((wall) => timestampFromMs(instantOf(wall, plan.zone)));
  return { ...wanted, name: schedule.name, etag: schedule.etag, exceptions };
}

/** From when to when a plan is the first time, in milliseconds since 1970. */
export function firstSpan({ begin, minutes, zone }: Plan): [number, number] {
  const start = instantOf(begin, zone);
  return [start, start + minutes * MINUTE_MS];
}

/** Whether it is over before it begins. */
export function isOver(plan: Plan, nowMs: number): boolean {
  return plan.recurrence.repeat === "never" && firstSpan(plan)[1] <= nowMs;
}

/** How long a meeting is to be, in milliseconds. */
export function lengthMs(schedule: Schedule): number {
  return schedule.duration === undefined ? DEFAULT_MINUTES * MINUTE_MS : durationMs(schedule.duration);
}

/** The times that a meeting is left out at, those to come, earliest first. */
export function leftOut(schedule: Schedule, nowMs: number): Date[] {
  return schedule.exceptions.map(timestampDate).filter((date) => date.getTime() > nowMs);
}

/** The addresses in a text, one a line or with commas between; and what is none. */
export function addressesIn(text: string): { addresses: string[]; wrong: string[] } {
  const all = [...new Set(text.split(/[\n,;，；]/).map((each) => each.trim()))].filter((each) => each !== "");
  return { addresses: all.filter((each) => ADDRESS.test(each)), wrong: all.filter((each) => !ADDRESS.test(each)) };
}

function dayIn(time: Timestamp, zone: string): string {
  return wallOf(timestampMs(time), zone).slice(0, 10);
}

/** JSON has no bigint. */
function digits(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
