/** The transcript beside the stage: it follows what is said, is searched, and catches up those who come late. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { useRef, useState, useSyncExternalStore } from "react";
import { transcripts } from "../api/client";
import type { Call, CallState } from "../call/call";
import { nameOf } from "../call/room";
import { entriesOf, type Entry, found } from "../call/transcript";
import type { CatchUpResponse } from "../gen/parley/meeting/v1/transcript_pb";
import { useI18n } from "../i18n";
import { Downloads, Entries, MadeByMachine, Points, type Target } from "./entries";
import { useFollowing } from "./following";
import { useKept } from "./kept";
import { Panel, Problem } from "./parts";

const RECENT_MS = 600_000;

interface TranscriptProps {
  call: Call;
  state: CallState;
  /** `meetings/{code}`. */
  meeting: string;
  /** When it began, in milliseconds since 1970; undefined where that is not known. */
  start: number | undefined;
  /** In which language, as BCP 47; empty: as it was spoken. */
  language: string;
  close: () => void;
}

export function Transcript({ call, state, meeting, start, language, close }: TranscriptProps) {
  const { t, explain } = useI18n();
  const { lines } = useSyncExternalStore(call.heard.subscribe, call.heard.snapshot);
  const isKept = state.settings?.transcript === true;
  const kept = useKept(meeting, isKept);
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState("");
  const [target, setTarget] = useState<Target>();
  const all = entriesOf(kept.entries, lines, language, (participant) => nameOf(state, participant));
  const entries = found(all, query);
  const list = useRef<HTMLDivElement>(null);
  const { isFollowing, follow } = useFollowing(list);
  const begin = start ?? all[0]?.began ?? 0;
  const goTo = (key: string) => {
    setQuery("");
    setTarget({ key, count: (target?.count ?? 0) + 1 });
  };
  return (
    <Panel kind="transcript" label={t("transcript")} close={close}>
      <CatchUp meeting={meeting} entries={all} start={begin} goTo={goTo} />
      <Search query={query} setQuery={setQuery} count={query.trim() === "" ? undefined : entries.length} />
      <Problem text={kept.error === undefined ? problem : explain(kept.error)} />
      <div ref={list} className="scrolling" tabIndex={0} role="log" aria-live="off" aria-label={t("transcript")}>
        <Entries entries={entries} start={begin} query={query} target={target} />
        {all.length === 0 && <p className="faint">{t(emptiness(state, kept.isLoading))}</p>}
        {all.length > 0 && entries.length === 0 && <p className="faint">{t("transcriptNothingFound", { query })}</p>}
      </div>
      {!isFollowing && entries.length > 0 && (
        <button type="button" className="primary latest" onClick={follow}>
          {t("jumpToLatest")}
        </button>
      )}
      {isKept ? (
        <Downloads meeting={meeting} failed={(error) => setProblem(explain(error))} />
      ) : (
        all.length > 0 && <p className="faint">{t("transcriptNotKept")}</p>
      )}
    </Panel>
  );
}

export function Search({ query, setQuery, count }: { query: string; setQuery: (query: string) => void; count: number | undefined }) {
  const { t } = useI18n();
  return (
    <div className="search" role="search">
      <input
        type="search"
        aria-label={t("search")}
        placeholder={t("search")}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      <span className="faint" role="status">
        {count !== undefined && t("hits", { count })}
      </span>
    </div>
  );
}

/** Points of what was said since a time. */
function CatchUp({ meeting, entries, start, goTo }: { meeting: string; entries: readonly Entry[]; start: number; goTo: (key: string) => void }) {
  const { t, explain } = useI18n();
  const [answer, setAnswer] = useState<CatchUpResponse>();
  const [isWorking, setWorking] = useState(false);
  const [problem, setProblem] = useState("");
  const ask = async (since: number | undefined) => {
    setWorking(true);
    setProblem("");
    try {
      setAnswer(await transcripts.catchUp({ name: meeting, since: since === undefined ? undefined : timestampFromMs(since) }));
    } catch (error) {
      setProblem(explain(error));
    } finally {
      setWorking(false);
    }
  };
  return (
    <details className="catch-up">
      <summary>{t("catchUp")}</summary>
      <div className="actions">
        <button type="button" className="quiet" disabled={isWorking} onClick={() => void ask(undefined)}>
          {t("catchUpAll")}
        </button>
        <button type="button" className="quiet" disabled={isWorking} onClick={() => void ask(Date.now() - RECENT_MS)}>
          {t("catchUpRecent")}
        </button>
      </div>
      <Problem text={problem} />
      <div role="status">
        {isWorking && <p className="faint">{t("catchUpWorking")}</p>}
        {!isWorking && answer?.points.length === 0 && <p className="faint">{t("catchUpNothing")}</p>}
        {!isWorking && answer !== undefined && answer.points.length > 0 && (
          <>
            <Points points={answer.points} entries={entries} start={start} goTo={goTo} />
            <MadeByMachine model={answer.model} />
          </>
        )}
      </div>
    </details>
  );
}

function emptiness({ settings }: CallState, isLoading: boolean): "loading" | "transcriptOff" | "transcriptEmpty" {
  if (isLoading) return "loading";
  return settings?.captions === true ? "transcriptEmpty" : "transcriptOff";
}
