import { expect, test } from "vitest";
import { fill, initialLanguage } from ".";
import { account } from "./account.en";
import { en } from "./en";
import { schedule } from "./schedule.en";
import { webhooks } from "./webhooks.en";

test("a stored choice goes before the browser's", () => {
  expect(initialLanguage("zh", ["en-GB"])).toBe("zh");
  expect(initialLanguage(null, ["zh-TW", "en"])).toBe("zh");
  expect(initialLanguage("klingon", ["fr"])).toBe("en");
});

test("values are put in, and unknown names left alone", () => {
  expect(fill("{count} of {all}", { count: 0 })).toBe("0 of {all}");
});

test("no part of the dictionary says something else by a key of another's", () => {
  for (const part of [account, schedule, webhooks]) expect(en).toMatchObject(part);
});
