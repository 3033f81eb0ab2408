/** A month of one's meetings, and the address by which calendar programs read them. */
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { schedules } from "../api/client";
import type { Occurrence } from "../gen/parley/meeting/v1/schedule_pb";
import { useI18n } from "../i18n";
import { addMonths, byDay, dayByKey, dayOf, spanOf, weeksOf } from "../schedule/month";
import { dayText, ownZone, weekdayNames } from "../schedule/zones";
import { FeedCard } from "./feed";
import { OccurrenceRow } from "./occurrences";
import { Problem } from "./parts";

const PAGE_SIZE = 100;
const MOST_PAGES = 10;
/** So many are named in the cell of a day; all are under the month once the day is chosen. */
const NAMED = 3;

interface Found {
  readonly occurrences: readonly Occurrence[];
  readonly isAll: boolean;
}

export function CalendarPage() {
  const { t, language } = useI18n();
  const zone = ownZone();
  const [today] = useState(() => dayOf(Date.now(), zone));
  const [day, setDay] = useState(today);
  const { found, problem } = useMonth(day, zone);
  const days = byDay(found?.occurrences ?? [], zone);
  const chosen = days.get(day) ?? [];
  return (
    <div className="account wide">
      <h1>{t("calendar")}</h1>
      <section className="card" aria-label={t("month")} aria-busy={found === undefined && problem === ""}>
        <div className="titled">
          <h2 aria-live="polite">{dayText(day, language, { year: "numeric", month: "long" })}</h2>
          <div className="actions">
            <button type="button" className="quiet" aria-label={t("monthPrevious")} onClick={() => setDay(addMonths(day, -1))}>
              ‹
            </button>
            <button type="button" className="quiet" onClick={() => setDay(today)}>
              {t("today")}
            </button>
            <button type="button" className="quiet" aria-label={t("monthNext")} onClick={() => setDay(addMonths(day, 1))}>
              ›
            </button>
          </div>
        </div>
        <p className="unseen" id="calendar-keys">
          {t("calendarKeys")}
        </p>
        <Month day={day} today={today} days={days} choose={setDay} />
        <Problem text={problem} />
        {found?.isAll === false && <p className="faint">{t("calendarMany")}</p>}
        <p className="faint">{t("inZone", { zone })}</p>
      </section>
      <section className="card" aria-label={t("details")}>
        <h2>{dayText(day, language, { dateStyle: "full" })}</h2>
        {found !== undefined && chosen.length === 0 && <p className="faint">{t("dayNone")}</p>}
        <ul className="listed">
          {chosen.map((each) => (
            <OccurrenceRow key={keyOf(each)} occurrence={each} />
          ))}
        </ul>
      </section>
      <FeedCard />
    </div>
  );
}

/** What is on in the weeks of a day's month. */
function useMonth(day: string, zone: string): { found: Found | undefined; problem: string } {
  const { explain } = useI18n();
  const month = day.slice(0, 7);
  const [found, setFound] = useState<{ month: string; is: Found }>();
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isWanted = true;
    setProblem("");
    read(`${month}-01`, zone).then(
      (is) => {
        if (isWanted) setFound({ month, is });
      },
      (error: unknown) => {
        if (isWanted) setProblem(explain(error));
      },
    );
    return () => {
      isWanted = false;
    };
  }, [month, zone, explain]);
  return { found: found?.month === month ? found.is : undefined, problem };
}

async function read(day: string, zone: string): Promise<Found> {
  const { startMs, endMs } = spanOf(weeksOf(day), zone);
  const [startTime, endTime] = [timestampFromMs(startMs), timestampFromMs(endMs)];
  const occurrences: Occurrence[] = [];
  let pageToken = "";
  for (let page = 0; page < MOST_PAGES; page++) {
    const answer = await schedules.listOccurrences({ startTime, endTime, pageSize: PAGE_SIZE, pageToken });
    occurrences.push(...answer.occurrences);
    pageToken = answer.nextPageToken;
    if (pageToken === "") break;
  }
  return { occurrences, isAll: pageToken === "" };
}

interface MonthProps {
  day: string;
  today: string;
  days: ReadonlyMap<string, readonly Occurrence[]>;
  choose: (day: string) => void;
}

/** A table of weeks. One day of it can be reached by Tab; arrows lead from there to the others. */
function Month({ day, today, days, choose }: MonthProps) {
  const { t, language } = useI18n();
  const table = useRef<HTMLTableElement>(null);
  /** Whether the day was chosen by a key, so that the focus follows. */
  const isKeyed = useRef(false);
  useEffect(() => {
    if (!isKeyed.current) return;
    isKeyed.current = false;
    table.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  }, [day]);
  const onKeyDown = (event: KeyboardEvent) => {
    const next = dayByKey(day, event.key);
    if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    isKeyed.current = true;
    choose(next);
  };
  const names = { short: weekdayNames(language, "short"), long: weekdayNames(language, "long") };
  const label = (each: string, count: number) => {
    const date = dayText(each, language, { dateStyle: "full" });
    return count === 0 ? date : t("dayMeetings", { day: date, count });
  };
  return (
    <table ref={table} className="month" aria-describedby="calendar-keys" onKeyDown={onKeyDown}>
      <caption className="unseen">{dayText(day, language, { year: "numeric", month: "long" })}</caption>
      <thead>
        <tr>
          {names.short.map((name, index) => (
            <th key={name} scope="col" abbr={names.long[index]}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {weeksOf(day).map((week) => (
          <tr key={week[0]}>
            {week.map((each) => {
              const on = days.get(each) ?? [];
              return (
                <td key={each} className={each.slice(0, 7) === day.slice(0, 7) ? "" : "outside"} onClick={() => choose(each)}>
                  <button
                    type="button"
                    tabIndex={each === day ? 0 : -1}
                    aria-label={label(each, on.length)}
                    aria-current={each === today ? "date" : undefined}
                    aria-pressed={each === day}
                  >
                    {Number(each.slice(8))}
                  </button>
                  <OnDay occurrences={on} />
                </td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function OnDay({ occurrences }: { occurrences: readonly Occurrence[] }) {
  const { t, language } = useI18n();
  if (occurrences.length === 0) return null;
  const time = ({ startTime }: Occurrence) =>
    startTime && new Date(timestampMs(startTime)).toLocaleTimeString(language, { timeStyle: "short" });
  return (
    <ul>
      {occurrences.slice(0, NAMED).map((each) => (
        <li key={keyOf(each)}>
          <span className="faint">{time(each)}</span> {each.title}
        </li>
      ))}
      {occurrences.length > NAMED && <li>{t("allDayMore", { count: occurrences.length - NAMED })}</li>}
    </ul>
  );
}

function keyOf({ meeting, startTime }: Occurrence): string {
  return `${meeting} ${startTime?.seconds}`;
}
