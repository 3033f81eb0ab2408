import { durationMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { settingsOf } from "./settings";

const BEFORE = { name: "meetings/m/settings", etag: "7" };

test("a form means what is ticked, for the version it was made from", () => {
  const settings = settingsOf(BEFORE, {
    guests: "on",
    captions: "on",
    transcript: "on",
    days: "7",
    language: "zh",
    "translate.en": "on",
    "translate.fr": "on",
    vocabulary: "Parley\n 李梅，RTP \n\nParley",
  });
  expect(settings).toMatchObject({
    ...BEFORE,
    guestsAllowed: true,
    captions: true,
    transcript: true,
    summary: false,
    emotions: false,
    languageCode: "zh",
    translationLanguageCodes: ["en", "fr"],
    vocabulary: ["Parley", "李梅", "RTP"],
  });
  expect(durationMs(settings.transcriptRetention)).toBe(7 * 86_400_000);
});

test("without captions nothing is kept or summed up, though it is ticked", () => {
  expect(settingsOf(BEFORE, { transcript: "on", summary: "on", days: "30" })).toMatchObject({ transcript: false, summary: false });
});
