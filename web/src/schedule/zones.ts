/**
 * The wall clocks of time zones. Pure, but for the zone that the browser is in.
 *
 * A wall time is written as `<input type="datetime-local">` does it, `2027-01-31T09:00`; a day is the part before the `T`.
 */
const DAY_MS = 86_400_000;

const clocks = new Map<string, Intl.DateTimeFormat>();

/** The zone that the browser is in, by its IANA name. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The zones to choose from, with some that may be none of the browser's. */
export function zones(...others: readonly string[]): string[] {
  return [...new Set(["UTC", ...Intl.supportedValuesOf("timeZone"), ...others.filter((zone) => zone !== "")])].sort();
}

/** What the clock of a zone shows at a time, in milliseconds since 1970. */
export function wallOf(ms: number, zone: string): string {
  let clock = clocks.get(zone);
  if (clock === undefined) {
    clock = new Intl.DateTimeFormat("en-CA", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
    });
    clocks.set(zone, clock);
  }
  const part = Object.fromEntries(clock.formatToParts(ms).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}

/**
 * When the clock of a zone shows a wall time, in milliseconds since 1970: the first time of two, and in a gap by the offset
 * before it, as the server has it (RFC 5545 §3.3.5).
 */
export function instantOf(wall: string, zone: string): number {
  const asUtc = utcOf(wall);
  const [early, late] = [asUtc - DAY_MS, asUtc + DAY_MS].map((near) => asUtc - (utcOf(wallOf(near, zone)) - floorMinute(near)));
  if (early === undefined || late === undefined) return asUtc;
  return wallOf(early, zone) !== wall && wallOf(late, zone) === wall ? late : early;
}

/** The day that is so many days after another. */
export function addDays(day: string, count: number): string {
  return new Date(utcOf(`${day}T00:00`) + count * DAY_MS).toISOString().slice(0, 10);
}

/** The weekday of a day, 0 (Monday) to 6. */
export function weekdayOf(day: string): number {
  return (new Date(utcOf(`${day}T00:00`)).getUTCDay() + 6) % 7;
}

/** A day as people read it, in a language (BCP 47). */
export function dayText(day: string, language: string, options: Intl.DateTimeFormatOptions): string {
  return new Date(utcOf(`${day}T00:00`)).toLocaleDateString(language, { ...options, timeZone: "UTC" });
}

/** The names of the weekdays, from Monday on. */
export function weekdayNames(language: string, weekday: "short" | "long"): string[] {
  return Array.from({ length: 7 }, (_, index) => dayText(addDays("2024-01-01", index), language, { weekday }));
}

/** From when to when, on the clock of a zone. */
export function spanText(startMs: number, endMs: number, zone: string, language: string): string {
  const format = new Intl.DateTimeFormat(language, {
    timeZone: zone,
    weekday: "short",
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
  });
  return format.formatRange(startMs, endMs);
}

function utcOf(wall: string): number {
  return Date.parse(`${wall}:00Z`);
}

function floorMinute(ms: number): number {
  return Math.floor(ms / 60_000) * 60_000;
}
