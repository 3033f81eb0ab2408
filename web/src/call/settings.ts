/** What a host's form of a meeting's settings means. Pure. */
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
/** What the form calls the box of a language to translate into, with the language after it. */
export const TRANSLATE = "translate.";
/** The fields that the form has, as parley.meeting.v1.Settings names them. */
export const PATHS = [
  "guests_allowed",
  "captions",
  "transcript",
  "transcript_retention",
  "summary",
  "emotions",
  "language_code",
  "translation_language_codes",
  "vocabulary",
];

/** The settings that a filled-in form means, for the version that it was made from. */
export function settingsOf({ name, etag }: Pick<Settings, "name" | "etag">, values: Record<string, string>) {
  const captions = values.captions !== undefined;
  return {
    name,
    etag,
    guestsAllowed: values.guests !== undefined,
    captions,
    transcript: captions && values.transcript !== undefined,
    transcriptRetention: durationFromMs(Number(values.days ?? 0) * DAY_MS),
    summary: captions && values.summary !== undefined,
    emotions: values.emotions !== undefined,
    languageCode: values.language ?? "",
    translationLanguageCodes: Object.keys(values)
      .filter((key) => key.startsWith(TRANSLATE))
      .map((key) => key.slice(TRANSLATE.length)),
    vocabulary: [...new Set((values.vocabulary ?? "").split(/[\n,，、]/).map((term) => term.trim()))].filter((term) => term !== ""),
  };
}

/** How long the transcript is kept after the meeting, in whole days. */
export function retentionDays(settings: Settings | undefined): number {
  const retention = settings?.transcriptRetention;
  return retention === undefined ? DEFAULT_DAYS : Math.round(durationMs(retention) / DAY_MS);
}
