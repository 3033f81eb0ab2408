/** What is left of a meeting when it is over: its summary, and what was said. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useCallback, useEffect, useState } from "react";
import { meetings, transcripts } from "../api/client";
import { reasonOf } from "../api/errors";
import { found } from "../call/transcript";
import type { Meeting } from "../gen/parley/meeting/v1/meeting_pb";
import type { ActionItem, Summary } from "../gen/parley/meeting/v1/transcript_pb";
import type { User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { Downloads, Entries, MadeByMachine, Points, type Target } from "./entries";
import { type Kept, useKept } from "./kept";
import { go } from "./navigation";
import { Confirm, Problem } from "./parts";
import { Search } from "./transcript";

/** What says that there is none, which is no trouble. */
const NONE = ["SUMMARY_NOT_FOUND", "TRANSCRIPT_NOT_FOUND"];

export function RecordPage({ code, user }: { code: string; user: User }) {
  const { t, explain } = useI18n();
  const name = `meetings/${code}`;
  const [meeting, setMeeting] = useState<Meeting>();
  const [problem, setProblem] = useState("");
  const [target, setTarget] = useState<Target>();
  const [deleted, setDeleted] = useState(false);
  const kept = useKept(name, true);
  const failed = useCallback((error: unknown) => setProblem(NONE.includes(reasonOf(error)) ? "" : explain(error)), [explain]);
  useEffect(() => {
    meetings.getMeeting({ name }).then(setMeeting).catch(failed);
  }, [name, failed]);
  const transcript = deleted ? { ...kept, entries: [] } : kept;
  const start = meeting?.startTime === undefined ? (kept.entries[0]?.began ?? 0) : timestampMs(meeting.startTime);
  const isHost = meeting?.host === user.name;
  const goTo = (key: string) => setTarget({ key, count: (target?.count ?? 0) + 1 });
  return (
    <div className="record">
      <h1>{meeting === undefined ? t("record") : t("recordOf", { title: meeting.title })}</h1>
      <p>
        <button type="button" className="link" onClick={() => go("/")}>
          {t("back")}
        </button>
      </p>
      <Problem text={problem} />
      {!deleted && <SummaryCard name={name} isHost={isHost} kept={transcript} start={start} goTo={goTo} failed={failed} />}
      <TranscriptCard
        name={name}
        isHost={isHost}
        kept={transcript}
        start={start}
        target={target}
        failed={failed}
        deleted={() => setDeleted(true)}
      />
    </div>
  );
}

interface PartProps {
  /** `meetings/{code}`. */
  name: string;
  isHost: boolean;
  kept: Kept;
  /** Milliseconds since 1970. */
  start: number;
  failed: (error: unknown) => void;
}

function SummaryCard({ name, isHost, kept, start, goTo, failed }: PartProps & { goTo: (key: string) => void }) {
  const { t } = useI18n();
  const [summary, setSummary] = useState<Summary>();
  const [isWorking, setWorking] = useState(true);
  const work = useCallback(
    (promise: Promise<Summary>) => {
      setWorking(true);
      promise
        .then(setSummary)
        .catch(failed)
        .finally(() => setWorking(false));
    },
    [failed],
  );
  useEffect(() => work(transcripts.getSummary({ name: `${name}/summary` })), [name, work]);
  const make = () => work(transcripts.generateSummary({ name: `${name}/summary` }));
  const items = summary?.actionItems.filter(({ point }) => point !== undefined) ?? [];
  const points = { entries: kept.entries, start, goTo };
  return (
    <section className="card" aria-label={t("summary")} aria-busy={isWorking}>
      <h2>{t("summary")}</h2>
      {isWorking && <p className="faint">{t("catchUpWorking")}</p>}
      {!isWorking && summary === undefined && <p className="faint">{t("summaryNone")}</p>}
      {summary !== undefined && (
        <>
          <MadeByMachine model={summary.model} />
          <p>{summary.overview}</p>
          {summary.topics.length > 0 && <h3>{t("topics")}</h3>}
          <Points points={summary.topics} {...points} />
          {summary.decisions.length > 0 && <h3>{t("decisions")}</h3>}
          <Points points={summary.decisions} {...points} />
          {items.length > 0 && <h3>{t("actionItems")}</h3>}
          <Points
            points={items.flatMap(({ point }) => (point === undefined ? [] : [point]))}
            more={(index) => <Who item={items[index]} />}
            {...points}
          />
        </>
      )}
      {isHost && !isWorking && (
        <button type="button" className="quiet" onClick={make}>
          {t(summary === undefined ? "summaryMake" : "summaryAgain")}
        </button>
      )}
    </section>
  );
}

/** Who is to do something, and by when, as far as it was said. */
function Who({ item }: { item: ActionItem | undefined }) {
  const { t } = useI18n();
  const said = [item?.assignee, item?.due ? t("due", { due: item.due }) : ""].filter(Boolean);
  return said.length === 0 ? null : <strong>{said.join(", ")} </strong>;
}

function TranscriptCard({ name, isHost, kept, start, target, failed, deleted }: PartProps & { target: Target | undefined; deleted: () => void }) {
  const { t, explain } = useI18n();
  const [query, setQuery] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [shown, setShown] = useState(target);
  if (shown !== target) {
    setShown(target);
    setQuery("");
  }
  const entries = found(kept.entries, query);
  const answered = (sure: boolean) => {
    setAsking(false);
    if (sure) transcripts.deleteTranscript({ name }).then(deleted).catch(failed);
  };
  return (
    <section className="card" aria-label={t("transcript")}>
      <h2>{t("transcript")}</h2>
      <Problem text={kept.error === undefined || NONE.includes(reasonOf(kept.error)) ? "" : explain(kept.error)} />
      {kept.entries.length === 0 ? (
        kept.error === undefined && <p className="faint">{t(kept.isLoading ? "loading" : "transcriptNobody")}</p>
      ) : (
        <>
          <Search query={query} setQuery={setQuery} count={query.trim() === "" ? undefined : entries.length} />
          <Entries entries={entries} start={start} query={query} target={target} />
          {entries.length === 0 && <p className="faint">{t("transcriptNothingFound", { query })}</p>}
          <div className="ends">
            <Downloads meeting={name} failed={failed} />
            {isHost && (
              <button type="button" className="quiet" onClick={() => setAsking(true)}>
                {t("deleteTranscript")}
              </button>
            )}
          </div>
        </>
      )}
      {isAsking && <Confirm text={t("deleteTranscriptSure")} action={t("deleteTranscript")} done={answered} />}
    </section>
  );
}
