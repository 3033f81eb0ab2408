/** How a meeting recurs: what people choose, the rule that it means (RFC 5545 RRULE), and both in words. Pure. */
import type { Words } from "../i18n";
import { addDays, dayText, weekdayNames, weekdayOf } from "./zones";

export const REPEATS = ["never", "daily", "weekdays", "weekly", "monthly", "monthlyOn", "custom"] as const;
export const ENDS = ["never", "on", "after"] as const;
/** The weekdays as rules name them, from Monday on. */
export const WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"] as const;
const WORKDAYS: readonly number[] = [0, 1, 2, 3, 4];
const LAST_SAFE_DAY = 28;
const MOST_INTERVAL = 1000;

export interface Recurrence {
  readonly repeat: (typeof REPEATS)[number];
  /** Every so many days, weeks or months. */
  readonly interval: number;
  /** On which weekdays, 0 (Monday) to 6; none: on that of the first day. */
  readonly days: readonly number[];
  readonly ends: (typeof ENDS)[number];
  /** The last day, `2027-01-31`; it counts if it ends on a day. */
  readonly until: string;
  /** How many times; it counts if it ends after so many. */
  readonly count: number;
  /** A rule that is none of the choices. */
  readonly rule: string;
}

export const ONCE: Recurrence = { repeat: "never", interval: 1, days: [], ends: "never", until: "", count: 10, rule: "" };

/** The rule for meetings whose first day is `day`; empty for those that are once. */
export function ruleOf(recurrence: Recurrence, day: string): string {
  const { repeat, interval, ends, until, count } = recurrence;
  const days = daysOf(recurrence, day).map((each) => WEEKDAYS[each]);
  const every = interval > 1 ? `;INTERVAL=${interval}` : "";
  const end = ends === "on" && until !== "" ? `;UNTIL=${until.replaceAll("-", "")}` : ends === "after" ? `;COUNT=${count}` : "";
  switch (repeat) {
    case "never":
      return "";
    case "daily":
      return `FREQ=DAILY${every}${end}`;
    case "weekdays":
    case "weekly":
      return `FREQ=WEEKLY${every};BYDAY=${days.join(",")}${end}`;
    case "monthly":
      return `FREQ=MONTHLY${every}${end}`;
    case "monthlyOn":
      return `FREQ=MONTHLY${every};BYDAY=${ordinalOf(day)}${WEEKDAYS[weekdayOf(day)] ?? ""}${end}`;
    case "custom":
      return recurrence.rule.trim().replace(/^RRULE:/i, "").toUpperCase();
  }
}

/** What a rule means for meetings whose first day is `day`. */
export function recurrenceOf(rule: string, day: string): Recurrence {
  if (rule === "") return ONCE;
  const custom: Recurrence = { ...ONCE, repeat: "custom", rule };
  const parts = new Map(rule.split(";").map((part) => part.split("=", 2) as [string, string]));
  const take = (name: string) => {
    const value = parts.get(name) ?? "";
    parts.delete(name);
    return value;
  };
  const frequency = take("FREQ");
  const [interval, until, count, byDay, byMonthDay] = [take("INTERVAL"), take("UNTIL"), take("COUNT"), take("BYDAY"), take("BYMONTHDAY")];
  if (parts.size > 0 || (until !== "" && !/^\d{8}$/.test(until))) return custom;
  const common = {
    ...ONCE,
    interval: interval === "" ? 1 : Number(interval),
    ends: until !== "" ? ("on" as const) : count !== "" ? ("after" as const) : ("never" as const),
    until: until.replace(/^(\d{4})(\d{2})(\d{2})$/, "$1-$2-$3"),
    count: count === "" ? ONCE.count : Number(count),
  };
  const days = byDay === "" ? [] : byDay.split(",").map((each) => (WEEKDAYS as readonly string[]).indexOf(each));
  if (frequency === "DAILY" && byDay === "" && byMonthDay === "") return { ...common, repeat: "daily" };
  if (frequency === "WEEKLY" && byMonthDay === "" && !days.includes(-1)) {
    const chosen = days.length === 0 ? [weekdayOf(day)] : days.sort();
    return { ...common, days: chosen, repeat: chosen.join() === WORKDAYS.join() && common.interval === 1 ? "weekdays" : "weekly" };
  }
  if (frequency !== "MONTHLY") return custom;
  if (byDay === "" && ["", String(Number(day.slice(8)))].includes(byMonthDay)) return { ...common, repeat: "monthly" };
  const isOn = byMonthDay === "" && byDay === `${ordinalOf(day)}${WEEKDAYS[weekdayOf(day)] ?? ""}`;
  return isOn ? { ...common, repeat: "monthlyOn" } : custom;
}

/** The first day, from a day on, that is by the weekdays that were chosen. */
export function firstDay(recurrence: Recurrence, day: string): string {
  const { repeat } = recurrence;
  if (repeat !== "weekdays" && repeat !== "weekly") return day;
  const days = daysOf(recurrence, day);
  let first = day;
  while (!days.includes(weekdayOf(first))) first = addDays(first, 1);
  return first;
}

/** How a meeting recurs whose first day is `day`, in words. */
export function repeatText(recurrence: Recurrence, day: string, { t }: Words, language: string): string {
  const { repeat, interval: count, ends } = recurrence;
  const names = weekdayNames(language, "long");
  const every = (one: "repeatsDaily" | "repeatsWeekly" | "repeatsMonthly" | "repeatsMonthlyOn", values: Record<string, string | number> = {}) =>
    count > 1 ? t(`${one}Every`, { count, ...values }) : t(one, values);
  const said = () => {
    switch (repeat) {
      case "never":
        return t("repeatsNever");
      case "daily":
        return every("repeatsDaily");
      case "weekdays":
        return t("repeatsWeekdays");
      case "weekly": {
        const days = daysOf(recurrence, day).map((each) => names[each] ?? "");
        return every("repeatsWeekly", { days: new Intl.ListFormat(language).format(days) });
      }
      case "monthly": {
        const number = Number(day.slice(8));
        return `${every("repeatsMonthly", { day: number })}${number > LAST_SAFE_DAY ? t("repeatsShortMonths") : ""}`;
      }
      case "monthlyOn":
        return every("repeatsMonthlyOn", { which: t(`ordinal.${ordinalOf(day)}`), weekday: names[weekdayOf(day)] ?? "" });
      case "custom":
        return t("repeatsCustom", { rule: recurrence.rule });
    }
  };
  if (repeat === "never" || repeat === "custom") return said();
  if (ends === "on" && recurrence.until !== "")
    return said() + t("repeatsUntil", { date: dayText(recurrence.until, language, { dateStyle: "long" }) });
  return ends === "after" ? said() + t("repeatsTimes", { count: recurrence.count }) : said();
}

/** What a filled-in form says of it. */
export function recurrenceIn(values: Record<string, string>): Recurrence {
  return {
    repeat: REPEATS.find((each) => each === values.repeat) ?? "never",
    interval: values.repeat === "weekdays" ? 1 : whole(values.interval, 1, MOST_INTERVAL),
    days: values.repeat === "weekdays" ? WORKDAYS : [0, 1, 2, 3, 4, 5, 6].filter((each) => values[`day.${WEEKDAYS[each] ?? ""}`] !== undefined),
    ends: ENDS.find((each) => each === values.ends) ?? "never",
    until: values.until ?? "",
    count: whole(values.count, ONCE.count, 3660),
    rule: values.rule ?? "",
  };
}

function daysOf({ repeat, days }: Recurrence, day: string): readonly number[] {
  if (repeat === "weekdays") return WORKDAYS;
  return days.length === 0 ? [weekdayOf(day)] : days;
}

/** Which of its weekday a day is in its month: 1 to 4, and -1 for a fifth, which is the last. */
function ordinalOf(day: string): 1 | 2 | 3 | 4 | -1 {
  const nth = Math.ceil(Number(day.slice(8)) / 7);
  return nth === 1 || nth === 2 || nth === 3 || nth === 4 ? nth : -1;
}

function whole(text: string | undefined, otherwise: number, most: number): number {
  const number = Number(text ?? "");
  return Number.isInteger(number) && number >= 1 ? Math.min(number, most) : otherwise;
}
