/** Points in time as people read them. */
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";

/** Date and time in a language (BCP 47); a dash where there is none. */
export function timeText(time: Timestamp | undefined, language: string): string {
  if (time === undefined) return "–";
  return timestampDate(time).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}
