/** Breakout rooms: how hosts open and close them, who is in which, and the way between them. */
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { useEffect, useState } from "react";
import { breakouts as service, meetings, newRequestId } from "../api/client";
import type { CallState } from "../call/call";
import { remaining } from "../call/breakouts";
import { type Breakout, BreakoutAssignment } from "../gen/parley/meeting/v1/breakout_pb";
import type { Meeting } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { Checkbox, Field, Form, Problem } from "./parts";

const MINUTE_MS = 60_000;
const NOTICE_MS = 60_000;
const MOST_ROOMS = 50;

/** The breakout rooms of a call's meeting, as they are known. */
export interface Rooms {
  /** `meetings/{code}` of the meeting that they belong to. */
  readonly main: string;
  /** Our own participant in that meeting; empty as long as we were not in it. */
  readonly me: string;
  readonly list: readonly Breakout[];
  readonly freeMovement: boolean;
  /** The room that we are in. */
  readonly here: Breakout | undefined;
  readonly refresh: () => void;
}

/** Keep the breakout rooms of a meeting, or of the one that it is a room of. */
export function useRooms(meeting: Meeting, me: string, state: CallState): Rooms {
  const main = meeting.breakoutOf === "" ? meeting.name : meeting.breakoutOf;
  const [known, setKnown] = useState<{ list: readonly Breakout[]; freeMovement: boolean }>();
  const [asked, setAsked] = useState(0);
  const isThere = meeting.breakoutsOpen || meeting.breakoutOf !== "" || state.breakoutNews > 0 || asked > 0;
  useEffect(() => {
    if (!isThere || state.phase === "over") return undefined;
    const asking = new AbortController();
    service.listBreakouts({ parent: main }, { signal: asking.signal }).then(
      ({ breakouts: list, freeMovement }) => setKnown({ list, freeMovement }),
      (error: unknown) => {
        if (!asking.signal.aborted) console.warn(error);
      },
    );
    return () => asking.abort();
  }, [main, isThere, asked, state.breakoutNews, state.participants.length, state.phase]);
  const list = known?.list ?? [];
  return {
    main,
    me,
    list,
    freeMovement: known?.freeMovement === true,
    here: list.find((each) => each.meeting === meeting.name),
    refresh: () => setAsked((count) => count + 1),
  };
}

/** Tells where one is, how long there still is, and the way back. */
export function RoomsBanner({ rooms, isHost }: { rooms: Rooms; isHost: boolean }) {
  const { t, explain } = useI18n();
  const [problem, setProblem] = useState("");
  const closes = rooms.list[0]?.closeTime;
  if (rooms.list.length === 0) return null;
  const back = () => {
    setProblem("");
    service.moveParticipant({ name: rooms.me }).catch((error: unknown) => setProblem(explain(error)));
  };
  const mayMove = rooms.me !== "" && (isHost || rooms.freeMovement);
  return (
    <div className="banner" role="status" data-breakout={rooms.here?.title}>
      {rooms.here === undefined ? t("breakoutsOpen") : t("inBreakout", { title: rooms.here.title })}
      {closes !== undefined && <Countdown until={timestampMs(closes)} />}
      {rooms.here !== undefined && mayMove && (
        <button type="button" className="link" onClick={back}>
          {t("backToMain")}
        </button>
      )}
      <Problem text={problem} />
    </div>
  );
}

function Countdown({ until }: { until: number }) {
  const { t } = useI18n();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const ticking = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(ticking);
  }, []);
  return (
    <span role="timer" aria-live="off">
      {" "}
      {t("breakoutsClose", { time: remaining(until, now) })}
    </span>
  );
}

/** What the list of people has of breakout rooms. */
export function Breakouts({ rooms, state, isHost }: { rooms: Rooms; state: CallState; isHost: boolean }) {
  const { t } = useI18n();
  const [isOpening, setOpening] = useState(false);
  if (rooms.list.length > 0) return <Open rooms={rooms} isHost={isHost} />;
  if (!isHost || rooms.main !== state.me.split("/participants/")[0]) return null;
  return (
    <section className="breakouts">
      <button type="button" className="quiet" aria-expanded={isOpening} onClick={() => setOpening(!isOpening)}>
        {t("breakouts")}
      </button>
      {isOpening && <Opening rooms={rooms} state={state} done={() => setOpening(false)} />}
    </section>
  );
}

/** The form by which they are opened. */
function Opening({ rooms, state, done }: { rooms: Rooms; state: CallState; done: () => void }) {
  const { t } = useI18n();
  const [count, setCount] = useState(2);
  const [byHand, setByHand] = useState(false);
  const [requestId] = useState(newRequestId);
  const numbers = Array.from({ length: count }, (_, at) => at);
  const titleOf = (at: number) => t("breakoutNumber", { number: at + 1 });
  const submit = async (values: Record<string, string>) => {
    const minutes = Number(values.minutes ?? "");
    await service.openBreakouts({
      parent: rooms.main,
      breakouts: numbers.map((at) => ({
        title: values[`title-${at}`]?.trim() || titleOf(at),
        participants: byHand ? state.participants.flatMap(({ name }) => (values[name] === String(at) ? [name] : [])) : [],
      })),
      assignment: byHand ? BreakoutAssignment.MANUAL : BreakoutAssignment.RANDOM,
      ...(minutes > 0 ? { duration: durationFromMs(minutes * MINUTE_MS) } : {}),
      freeMovement: values.free === "on",
      requestId,
    });
    rooms.refresh();
    done();
  };
  return (
    <Form submit={submit} action={t("openBreakouts")}>
      <label className="field">
        <span>{t("breakoutCount")}</span>
        <input
          type="number"
          min={1}
          max={MOST_ROOMS}
          required
          value={count}
          onChange={({ target }) => setCount(Math.min(MOST_ROOMS, Math.max(1, Math.trunc(Number(target.value)) || 1)))}
        />
      </label>
      {numbers.map((at) => (
        <Field key={at} label={titleOf(at)} name={`title-${at}`} placeholder={titleOf(at)} maxLength={64} />
      ))}
      <label className="field">
        <span>{t("breakoutAssignment")}</span>
        <select value={byHand ? "hand" : "random"} onChange={({ target }) => setByHand(target.value === "hand")}>
          <option value="random">{t("breakoutRandom")}</option>
          <option value="hand">{t("breakoutByHand")}</option>
        </select>
      </label>
      {byHand &&
        state.participants.map(({ name, displayName }) => (
          <label key={name} className="field">
            <span>{displayName}</span>
            <select name={name}>
              <option value="">{t("mainRoom")}</option>
              {numbers.map((at) => (
                <option key={at} value={at}>
                  {titleOf(at)}
                </option>
              ))}
            </select>
          </label>
        ))}
      <Field label={t("breakoutMinutes")} name="minutes" type="number" min={1} max={480} />
      <Checkbox label={t("breakoutFree")} name="free" />
    </Form>
  );
}

/** The rooms that are open: who is in which. Hosts move people, and close them. */
function Open({ rooms, isHost }: { rooms: Rooms; isHost: boolean }) {
  const { t, explain } = useI18n();
  const [problem, setProblem] = useState("");
  const names = useNames(rooms);
  const attempt = (work: Promise<unknown>) => {
    setProblem("");
    work.then(rooms.refresh, (error: unknown) => setProblem(explain(error)));
  };
  const move = (name: string, breakout: string) => attempt(service.moveParticipant({ name, breakout }));
  const close = (notice: number) =>
    attempt(service.closeBreakouts({ parent: rooms.main, notice: durationFromMs(notice) }));
  const mayMove = rooms.me !== "" && (isHost || rooms.freeMovement);
  const assigned = new Set(rooms.list.flatMap(({ participants }) => participants));
  const unassigned = [...names.present].filter((name) => !assigned.has(name) && name !== rooms.me);
  const person = (name: string, where: string) => (
    <li key={name}>
      <span className="cut">{names.of.get(name) ?? "?"}</span>
      {isHost && (
        <select
          aria-label={t("moveTo", { name: names.of.get(name) ?? "?" })}
          value={where}
          onChange={({ target }) => move(name, target.value)}
        >
          <option value="">{t("mainRoom")}</option>
          {rooms.list.map((each) => (
            <option key={each.name} value={each.name}>
              {each.title}
            </option>
          ))}
        </select>
      )}
    </li>
  );
  return (
    <section className="breakouts" aria-label={t("breakouts")}>
      <h3>{t("breakouts")}</h3>
      {rooms.list.map((each) => (
        <section key={each.name} aria-label={each.title}>
          <h4>
            <span className="cut">{each.title}</span>
            {each === rooms.here && <span className="faint">{t("you")}</span>}
            {each !== rooms.here && mayMove && (
              <button type="button" className="link" onClick={() => move(rooms.me, each.name)}>
                {t("goThere")}
              </button>
            )}
          </h4>
          <ul>{each.participants.map((name) => person(name, each.name))}</ul>
        </section>
      ))}
      {isHost && unassigned.length > 0 && (
        <section aria-label={t("mainRoom")}>
          <h4>{t("mainRoom")}</h4>
          <ul>{unassigned.map((name) => person(name, ""))}</ul>
        </section>
      )}
      <Problem text={problem} />
      {isHost && (
        <div className="actions">
          <button type="button" className="quiet" onClick={() => close(NOTICE_MS)}>
            {t("closeInAMinute")}
          </button>
          <button type="button" className="quiet" onClick={() => close(0)}>
            {t("closeBreakouts")}
          </button>
        </div>
      )}
    </section>
  );
}

/** What those are called who are, or were, in the meeting, and who of them is in it now. */
function useNames(rooms: Rooms): { of: ReadonlyMap<string, string>; present: ReadonlySet<string> } {
  const [names, setNames] = useState({ of: new Map<string, string>(), present: new Set<string>() });
  const { main, list } = rooms;
  useEffect(() => {
    const asking = new AbortController();
    const { signal } = asking;
    const all = meetings.listParticipants({ parent: main, pageSize: 500, showLeft: true }, { signal });
    const now = meetings.listParticipants({ parent: main, pageSize: 500 }, { signal });
    Promise.all([all, now]).then(
      ([known, present]) =>
        setNames({
          of: new Map([...known.participants, ...present.participants].map((each) => [each.name, each.displayName])),
          present: new Set(present.participants.map(({ name }) => name)),
        }),
      (error: unknown) => {
        if (!signal.aborted) console.warn(error);
      },
    );
    return () => asking.abort();
  }, [main, list]);
  return names;
}
