import { expect, test } from "vitest";
import { wordsIn } from "../i18n";
import { firstDay, ONCE, type Recurrence, recurrenceIn, recurrenceOf, repeatText, ruleOf } from "./recurrence";

const MONDAY = "2027-01-04";
const LAST_SUNDAY = "2027-01-31";

test.each<[Partial<Recurrence>, string, string]>([
  [{}, MONDAY, ""],
  [{ repeat: "daily", interval: 3 }, MONDAY, "FREQ=DAILY;INTERVAL=3"],
  [{ repeat: "weekly", days: [0, 2], ends: "after", count: 5 }, MONDAY, "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=5"],
  [{ repeat: "weekdays", days: [0, 1, 2, 3, 4] }, MONDAY, "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"],
  [{ repeat: "monthly", ends: "on", until: "2027-12-31" }, LAST_SUNDAY, "FREQ=MONTHLY;UNTIL=20271231"],
  [{ repeat: "monthlyOn", interval: 2 }, MONDAY, "FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO"],
  [{ repeat: "monthlyOn" }, LAST_SUNDAY, "FREQ=MONTHLY;BYDAY=-1SU"],
  [{ repeat: "custom", rule: "FREQ=YEARLY" }, MONDAY, "FREQ=YEARLY"],
])("%j on %s is the rule %s, and back", (chosen, day, rule) => {
  const recurrence = { ...ONCE, ...chosen };
  expect(ruleOf(recurrence, day)).toBe(rule);
  expect(recurrenceOf(rule, day)).toEqual(recurrence);
});

test.each([
  "FREQ=MONTHLY;BYDAY=2MO",
  "FREQ=MONTHLY;BYMONTHDAY=5",
  "FREQ=WEEKLY;BYDAY=1MO",
  "FREQ=WEEKLY;BYDAY=MO;UNTIL=20270201T080000Z",
  "FREQ=DAILY;BYDAY=MO",
  "FREQ=WEEKLY;BYDAY=MO;WKST=SU",
  "FREQ=YEARLY;BYMONTH=1",
])("%s is none of the choices, and stays as it is", (rule) => {
  expect(recurrenceOf(rule, MONDAY).repeat).toBe("custom");
  expect(ruleOf(recurrenceOf(rule, MONDAY), MONDAY)).toBe(rule);
});

test("rules that say what is meant anyway are understood", () => {
  expect(recurrenceOf("FREQ=WEEKLY", MONDAY)).toMatchObject({ repeat: "weekly", days: [0] });
  expect(recurrenceOf("FREQ=MONTHLY;BYMONTHDAY=4", MONDAY).repeat).toBe("monthly");
});

test("the first day is one of the weekdays", () => {
  const weekly = { ...ONCE, repeat: "weekly" as const, days: [1, 6] };
  expect(firstDay(weekly, MONDAY)).toBe("2027-01-05");
  expect(firstDay({ ...ONCE, repeat: "weekdays" }, LAST_SUNDAY)).toBe("2027-02-01");
  expect(firstDay({ ...weekly, days: [] }, MONDAY)).toBe(MONDAY);
  expect(firstDay(ONCE, LAST_SUNDAY)).toBe(LAST_SUNDAY);
});

test("the form is read, and what is no number is left to a default", () => {
  const read = recurrenceIn({ repeat: "weekly", interval: "2", "day.TU": "on", "day.SU": "on", ends: "after", count: "-1" });
  expect(read).toEqual({ ...ONCE, repeat: "weekly", interval: 2, days: [1, 6], ends: "after", count: 10 });
  expect(recurrenceIn({ repeat: "weekdays", interval: "4" })).toMatchObject({ interval: 1, days: [0, 1, 2, 3, 4] });
  expect(recurrenceIn({})).toEqual(ONCE);
});

test.each<[string, string, string]>([
  ["", "Does not repeat", "不重复"],
  ["FREQ=DAILY", "Every day", "每天"],
  ["FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "Every weekday, Monday to Friday", "每个工作日（周一至周五）"],
  ["FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE", "Every 2 weeks on Monday and Wednesday", "每 2 周的星期一和星期三"],
  ["FREQ=WEEKLY;BYDAY=MO;COUNT=5", "Every week on Monday, 5 times", "每周星期一，共 5 次"],
  ["FREQ=MONTHLY;UNTIL=20271231", "Every month on day 4, until December 31, 2027", "每月 4 日，至 2027年12月31日"],
  ["FREQ=MONTHLY;BYDAY=1MO", "Every month on the first Monday", "每月第一个星期一"],
  ["FREQ=YEARLY", "By the rule FREQ=YEARLY", "按规则 FREQ=YEARLY"],
])("the rule %s is said in words", (rule, english, chinese) => {
  const recurrence = recurrenceOf(rule, MONDAY);
  expect(repeatText(recurrence, MONDAY, wordsIn("en"), "en")).toBe(english);
  expect(repeatText(recurrence, MONDAY, wordsIn("zh"), "zh-CN")).toBe(chinese);
});

test("it is said that short months are left out", () => {
  const text = repeatText(recurrenceOf("FREQ=MONTHLY", LAST_SUNDAY), LAST_SUNDAY, wordsIn("en"), "en");
  expect(text).toBe("Every month on day 31 (not in months without it)");
});
