/** Polls beside the stage: hosts ask, everybody answers, and the result is shown when it may be. */
import { type SubmitEvent, useEffect, useState, useSyncExternalStore } from "react";
import { polls as service } from "../api/client";
import type { Call, CallState } from "../call/call";
import { isOpen, Polls, share, showsCounts } from "../call/polls";
import type { Poll } from "../gen/parley/meeting/v1/poll_pb";
import { useI18n } from "../i18n";
import { Asking } from "./asking";
import { Panel, Problem } from "./parts";

/** The polls of the meeting that one is in, from the moment in which one is let in. */
export function usePolls(call: Call, meeting: string, me: string, seesVoters: boolean): Polls {
  const [polls] = useState(() => new Polls(service, meeting));
  useEffect(() => call.overhear(polls.said), [call, polls]);
  useEffect(() => polls.setSeesVoters(seesVoters), [polls, seesVoters]);
  useEffect(() => {
    if (me !== "") void polls.enter(me);
  }, [polls, me]);
  return polls;
}

interface PollsProps {
  polls: Polls;
  state: CallState;
  /** Whether we may ask, and close what others have asked. */
  presents: boolean;
  close: () => void;
}

export function PollsPanel({ polls, state, presents, close }: PollsProps) {
  const { t, explain } = useI18n();
  const { polls: all, isLoading, error } = useSyncExternalStore(polls.subscribe, polls.snapshot);
  const [isAsking, setAsking] = useState(false);
  return (
    <Panel kind="transcript polls" label={t("polls")} close={close}>
      {presents && !isAsking && (
        <button type="button" className="primary" onClick={() => setAsking(true)}>
          {t("pollAsk")}
        </button>
      )}
      <div className="scrolling">
        {isAsking && <Asking polls={polls} done={() => setAsking(false)} />}
        {isLoading && <p className="faint">{t("loading")}</p>}
        {error !== undefined && (
          <>
            <Problem text={explain(error)} />
            <button type="button" className="link" onClick={() => void polls.enter(state.me)}>
              {t("tryAgain")}
            </button>
          </>
        )}
        {all.length === 0 && !isLoading && error === undefined && !isAsking && (
          <p className="faint">{t(presents ? "pollsEmptyHost" : "pollsEmpty")}</p>
        )}
        {all.map((poll) => (
          <PollCard
            key={poll.name}
            poll={poll}
            polls={polls}
            state={state}
            mayClose={presents || poll.creator === state.me}
          />
        ))}
      </div>
    </Panel>
  );
}

interface PollProps {
  poll: Poll;
  polls: Polls;
  state: CallState;
  mayClose: boolean;
}

function PollCard({ poll, polls, state, mayClose }: PollProps) {
  const { t, explain } = useI18n();
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const attempt = (work: Promise<void>) => {
    setBusy(true);
    setProblem("");
    work.catch((error: unknown) => setProblem(explain(error))).finally(() => setBusy(false));
  };
  const facts = [
    t(isOpen(poll) ? "pollOpen" : "pollClosed"),
    t("pollVoters", { count: poll.voterCount }),
    poll.anonymous ? t("pollAnonymous") : t("pollNamed"),
  ];
  return (
    <section className="poll" aria-label={poll.question}>
      <h3>{poll.question}</h3>
      <p className="faint">{facts.join(" · ")}</p>
      {isOpen(poll) && (
        <Answer
          key={poll.ownChoices.join()}
          poll={poll}
          isBusy={isBusy}
          vote={(choices) => attempt(polls.vote(poll.name, choices))}
        />
      )}
      {showsCounts(poll) ? (
        <Result poll={poll} state={state} />
      ) : (
        poll.ownChoices.length > 0 && <p className="faint">{t("pollResultLater")}</p>
      )}
      <Problem text={problem} />
      {isOpen(poll) && mayClose && (
        <button type="button" className="quiet" disabled={isBusy} onClick={() => attempt(polls.close(poll.name))}>
          {t("pollClose")}
        </button>
      )}
    </section>
  );
}

function Answer({ poll, isBusy, vote }: { poll: Poll; isBusy: boolean; vote: (choices: readonly number[]) => void }) {
  const { t } = useI18n();
  const [chosen, setChosen] = useState<readonly number[]>(poll.ownChoices);
  const hasAnswered = poll.ownChoices.length > 0;
  const choose = (place: number, isChosen: boolean) => {
    if (!poll.multiple) setChosen([place]);
    else setChosen(isChosen ? [...chosen, place] : chosen.filter((each) => each !== place));
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    vote(chosen);
  };
  const isSame = [...chosen].sort().join() === [...poll.ownChoices].sort().join();
  return (
    <form onSubmit={submit}>
      <fieldset>
        <legend className="faint">{t(poll.multiple ? "pollChooseSome" : "pollChooseOne")}</legend>
        {poll.choices.map(({ text }, place) => (
          <label key={place} className="checkbox">
            <input
              type={poll.multiple ? "checkbox" : "radio"}
              name={poll.name}
              checked={chosen.includes(place)}
              onChange={(event) => choose(place, event.target.checked)}
            />
            <span>{text}</span>
          </label>
        ))}
      </fieldset>
      <div className="actions">
        <button className="primary" disabled={isBusy || chosen.length === 0 || isSame}>
          {t(hasAnswered ? "pollAnswerAgain" : "pollAnswer")}
        </button>
        {hasAnswered && (
          <button type="button" className="quiet" disabled={isBusy} onClick={() => vote([])}>
            {t("pollTakeBack")}
          </button>
        )}
      </div>
      {hasAnswered && (
        <p className="faint" role="status">
          {t("pollAnswered")}
        </p>
      )}
    </form>
  );
}

function Result({ poll, state }: { poll: Poll; state: CallState }) {
  const { t } = useI18n();
  const nameOf = (voter: string) => state.participants.find(({ name }) => name === voter)?.displayName ?? t("chatSomebody");
  return (
    <ul className="result" aria-label={t("pollResult")}>
      {poll.choices.map(({ text, voteCount, voters }, place) => (
        <li key={place}>
          <span className="counted">
            <span>
              {text}
              {poll.ownChoices.includes(place) && ` (${t("pollYours")})`}
            </span>
            <span>{t("pollCount", { count: voteCount, share: share(poll, place) })}</span>
          </span>
          <meter min={0} max={100} value={share(poll, place)} aria-hidden="true" />
          {voters.length > 0 && <small className="faint">{voters.map(nameOf).join(", ")}</small>}
        </li>
      ))}
    </ul>
  );
}

/** Tells of what others ask, wherever one is in the call. */
export function PollNotice({ polls, isShown, show }: { polls: Polls; isShown: boolean; show: () => void }) {
  const { t } = useI18n();
  const { polls: all, latest } = useSyncExternalStore(polls.subscribe, polls.snapshot);
  const [dismissed, setDismissed] = useState("");
  const poll = all.find(({ name }) => name === latest?.name);
  const waits =
    poll !== undefined && isOpen(poll) && poll.ownChoices.length === 0 && poll.name !== dismissed && !isShown;
  return (
    <div role="status">
      {waits && (
        <div className="notice">
          <span>{t("newsPoll", { question: poll.question })}</span>
          <span className="actions">
            <button type="button" className="primary" onClick={show}>
              {t("pollAnswer")}
            </button>
            <button type="button" className="quiet" onClick={() => setDismissed(poll.name)}>
              {t("pollLater")}
            </button>
          </span>
        </div>
      )}
    </div>
  );
}
