import { expect, test } from "vitest";
import { fill, initialLanguage } from ".";

test("a stored choice goes before the browser's", () => {
  expect(initialLanguage("zh", ["en-GB"])).toBe("zh");
  expect(initialLanguage(null, ["zh-TW", "en"])).toBe("zh");
  expect(initialLanguage("klingon", ["fr"])).toBe("en");
});

test("values are put in, and unknown names left alone", () => {
  expect(fill("{count} of {all}", { count: 0 })).toBe("0 of {all}");
});
