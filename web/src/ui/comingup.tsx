/** What is planned for the next days, on the home page. */
import { schedules } from "../api/client";
import type { Occurrence } from "../gen/parley/meeting/v1/schedule_pb";
import { useI18n } from "../i18n";
import { go } from "./navigation";
import { OccurrenceRow } from "./occurrences";
import { Listed, usePages } from "./pages";

const AT_ONCE = 5;

async function ask(pageToken: string) {
  const { occurrences: items, nextPageToken } = await schedules.listOccurrences({ pageSize: AT_ONCE, pageToken });
  return { items, nextPageToken };
}

export function ComingUp() {
  const { t } = useI18n();
  const pages = usePages<Occurrence>(ask);
  return (
    <section className="card" aria-label={t("comingUp")}>
      <div className="titled">
        <h2>{t("comingUp")}</h2>
        <div className="actions">
          <button type="button" className="quiet" onClick={() => go("/calendar")}>
            {t("calendar")}
          </button>
          <button type="button" className="primary" onClick={() => go("/schedule")}>
            {t("scheduleMeeting")}
          </button>
        </div>
      </div>
      <Listed pages={pages} none={t("comingUpNone")}>
        {(items) => (
          <ul className="listed">
            {items.map((each) => (
              <OccurrenceRow key={`${each.meeting} ${each.startTime?.seconds}`} occurrence={each} />
            ))}
          </ul>
        )}
      </Listed>
    </section>
  );
}
