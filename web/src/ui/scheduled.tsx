/** The page of one meeting: when it is, how to come in, who is invited, and what its host does with it. */
import { timestampFromDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { useCallback, useState } from "react";
import { schedules } from "../api/client";
import { reasonOf } from "../api/errors";
import { MeetingState } from "../gen/parley/meeting/v1/meeting_pb";
import type { Occurrence, Schedule } from "../gen/parley/meeting/v1/schedule_pb";
import type { User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { leftOut, lengthMs, planOf } from "../schedule/plan";
import { repeatText } from "../schedule/recurrence";
import { ownZone, spanText, wallOf } from "../schedule/zones";
import { linkOf, useDeeds } from "./deeds";
import { InvitationsCard } from "./invitations";
import { stateText } from "./mymeetings";
import { go } from "./navigation";
import { whenText } from "./occurrences";
import { Listed, usePages } from "./pages";
import { Confirm, Problem } from "./parts";
import { type Planned, usePlanned } from "./planned";
import { save } from "./save";

const YEAR_MS = 365 * 86_400_000;
const AT_ONCE = 5;

export function ScheduledPage({ code, user }: { code: string; user: User }) {
  const { t } = useI18n();
  const { planned, problem, reload } = usePlanned(code);
  if (planned === undefined)
    return (
      <div className="account">
        <Problem text={problem} />
        {problem === "" && <p className="faint">{t("loading")}</p>}
      </div>
    );
  const { meeting, schedule } = planned;
  const isHost = meeting.host === user.name;
  const isOpen = meeting.state === MeetingState.SCHEDULED || meeting.state === MeetingState.ACTIVE;
  return (
    <div className="account">
      <h1>{meeting.title}</h1>
      <Problem text={problem} />
      <MeetingCard planned={planned} isHost={isHost} reload={reload} />
      {schedule !== undefined && isOpen && schedule.recurrence !== "" && (
        <TimesCard key={schedule.etag} schedule={schedule} meeting={meeting.name} isHost={isHost} reload={reload} />
      )}
      {isHost && isOpen && <InvitationsCard meeting={meeting.name} />}
    </div>
  );
}

interface CardProps {
  planned: Planned;
  isHost: boolean;
  reload: () => Promise<void>;
}

function MeetingCard({ planned, isHost, reload }: CardProps) {
  const { t, explain } = useI18n();
  const { meeting, schedule } = planned;
  const code = meeting.name.replace("meetings/", "");
  const isOpen = meeting.state === MeetingState.SCHEDULED || meeting.state === MeetingState.ACTIVE;
  const [failed, setFailed] = useState("");
  const { deedsOf, problem, question } = useDeeds((_, now) => {
    if (now === undefined) go("/");
    else void reload();
  });
  const download = async () => {
    setFailed("");
    try {
      const { contentType, data } = await schedules.getCalendarFile({ name: meeting.name });
      save(new Blob([data as BlobPart], { type: contentType }), `meeting-${code}.ics`);
    } catch (error) {
      setFailed(explain(error));
    }
  };
  return (
    <section className="card" aria-label={t("when")}>
      <When schedule={schedule} />
      {meeting.description !== "" && <p className="described">{meeting.description}</p>}
      <p className="faint">
        {stateText(meeting, t)}
        {isOpen && (
          <>
            {" · "}
            <span className="code">{meeting.endToEndEncrypted ? code : linkOf(meeting.name)}</span>
          </>
        )}
        {meeting.passcode !== "" && ` · ${t("passcode")}: ${meeting.passcode}`}
      </p>
      <Problem text={problem === "" ? failed : problem} />
      <div className="actions wrapped">
        {isOpen && (
          <button type="button" className="primary" onClick={() => go(`/m/${code}`)}>
            {t("join")}
          </button>
        )}
        {schedule !== undefined && (
          <button type="button" className="quiet" onClick={download}>
            {t("calendarFile")}
          </button>
        )}
        {isHost &&
          deedsOf(meeting).map(({ text, label, act }) => (
            <button key={label} type="button" className="quiet" aria-label={label} onClick={act}>
              {text}
            </button>
          ))}
      </div>
      {question}
    </section>
  );
}

/** When it is the first time, on the viewer's clock and on its own, and how it recurs. */
function When({ schedule }: { schedule: Schedule | undefined }) {
  const words = useI18n();
  const { t, language } = words;
  if (schedule === undefined) return <p className="sentence">{t("noTime")}</p>;
  const own = ownZone();
  const { timeZone: zone } = schedule;
  const start = schedule.startTime === undefined ? 0 : timestampMs(schedule.startTime);
  const span = (where: string) => spanText(start, start + lengthMs(schedule), where, language);
  const { begin, recurrence } = planOf(schedule);
  const isElsewhere = wallOf(start, own) !== begin;
  return (
    <>
      <p className="sentence">{span(own)}</p>
      {isElsewhere && <p className="faint">{t("whenThere", { when: span(zone), zone })}</p>}
      {recurrence.repeat !== "never" && (
        <p>
          {repeatText(recurrence, begin.slice(0, 10), words, language)}
          {isElsewhere && ` (${zone})`}
        </p>
      )}
    </>
  );
}

interface TimesProps {
  schedule: Schedule;
  meeting: string;
  isHost: boolean;
  reload: () => Promise<void>;
}

/** The next times of a meeting that recurs, each of which its host can leave out. */
function TimesCard({ schedule, meeting, isHost, reload }: TimesProps) {
  const { t, explain, language } = useI18n();
  const [doomed, setDoomed] = useState<Occurrence>();
  const [problem, setProblem] = useState("");
  const [nowMs] = useState(Date.now);
  const ask = useCallback(
    async (pageToken: string) => {
      const [startTime, endTime] = [new Date(nowMs), new Date(nowMs + YEAR_MS)].map(timestampFromDate);
      const wanted = { meeting, startTime, endTime, pageSize: AT_ONCE, pageToken };
      const { occurrences: items, nextPageToken } = await schedules.listOccurrences(wanted);
      return { items, nextPageToken };
    },
    [meeting, nowMs],
  );
  const pages = usePages<Occurrence>(ask);
  const out = leftOut(schedule, nowMs);
  const update = async (exceptions: Schedule["exceptions"]) => {
    setProblem("");
    try {
      await schedules.updateSchedule({ schedule: { ...schedule, exceptions } });
    } catch (error) {
      setProblem(reasonOf(error) === "ETAG_MISMATCH" ? t("changedMeanwhile") : explain(error));
    }
    await reload();
  };
  const answered = (sure: boolean) => {
    setDoomed(undefined);
    if (sure && doomed?.startTime !== undefined) void update([...schedule.exceptions, doomed.startTime]);
  };
  const bringBack = (date: Date) => void update(schedule.exceptions.filter((each) => timestampMs(each) !== date.getTime()));
  const outText = (date: Date) => spanText(date.getTime(), date.getTime() + lengthMs(schedule), ownZone(), language);
  return (
    <section className="card" aria-label={t("nextTimes")}>
      <h2>{t("nextTimes")}</h2>
      <Problem text={problem} />
      <Listed pages={pages} none={t("nextTimesNone")}>
        {(items) => (
          <ul className="listed brief">
            {items.map((each) => (
              <Time key={String(each.startTime?.seconds)} when={whenText(each, language)}>
                {isHost && (
                  <button
                    type="button"
                    className="quiet"
                    aria-label={t("leaveOutOf", { when: whenText(each, language) })}
                    onClick={() => setDoomed(each)}
                  >
                    {t("leaveOut")}
                  </button>
                )}
              </Time>
            ))}
          </ul>
        )}
      </Listed>
      {out.length > 0 && (
        <section aria-label={t("leftOut")}>
          <h3>{t("leftOut")}</h3>
          <ul className="listed brief">
            {out.map((date) => (
              <Time key={date.getTime()} when={outText(date)}>
                {isHost && (
                  <button
                    type="button"
                    className="quiet"
                    aria-label={t("bringBackOf", { when: outText(date) })}
                    onClick={() => bringBack(date)}
                  >
                    {t("bringBack")}
                  </button>
                )}
              </Time>
            ))}
          </ul>
        </section>
      )}
      {doomed !== undefined && (
        <Confirm text={t("leaveOutSure", { when: whenText(doomed, language) })} action={t("leaveOut")} done={answered} />
      )}
    </section>
  );
}

function Time({ when, children }: { when: string; children: React.ReactNode }) {
  return (
    <li>
      <span>{when}</span>
      {children}
    </li>
  );
}
