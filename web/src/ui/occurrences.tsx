/** One time of a meeting, in a list. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Occurrence } from "../gen/parley/meeting/v1/schedule_pb";
import { useI18n } from "../i18n";
import { ownZone, spanText } from "../schedule/zones";
import { go } from "./navigation";

/** From when to when it is, on the viewer's clock. */
export function whenText({ startTime, endTime }: Occurrence, language: string): string {
  if (startTime === undefined || endTime === undefined) return "–";
  return spanText(timestampMs(startTime), timestampMs(endTime), ownZone(), language);
}

export function OccurrenceRow({ occurrence }: { occurrence: Occurrence }) {
  const { t, language } = useI18n();
  const { meeting, title } = occurrence;
  const code = meeting.replace("meetings/", "");
  return (
    <li>
      <div>
        <div className="title">{title}</div>
        <div className="faint">{whenText(occurrence, language)}</div>
      </div>
      <div className="actions">
        <button type="button" className="quiet" aria-label={t("detailsOf", { title })} onClick={() => go(`/s/${code}`)}>
          {t("details")}
        </button>
        <button type="button" className="quiet" aria-label={`${t("join")}: ${title}`} onClick={() => go(`/m/${code}`)}>
          {t("join")}
        </button>
      </div>
    </li>
  );
}
