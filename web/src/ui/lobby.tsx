/** The lobby: what those see who wait, and what those see who let them in. */
import { useEffect } from "react";
import { meetings } from "../api/client";
import type { Call, CallState } from "../call/call";
import { useI18n } from "../i18n";
import type { Control } from "./control";

/** A lobby takes fewer. */
const MOST_WAITING = 500;

/** Who waits when we come, or begin to run the meeting; what changes then is told. */
export function useLobby(call: Call, meeting: string, isAsked: boolean): void {
  useEffect(() => {
    if (!isAsked) return undefined;
    /** Counts what we were told: an answer that is older is no news. */
    let told = 0;
    const ask = () => {
      const before = told;
      meetings.listParticipants({ parent: meeting, showWaiting: true, pageSize: MOST_WAITING }).then(
        ({ participants }) => {
          if (told === before) call.learnWaiting(participants);
        },
        (error: unknown) => console.warn(error),
      );
    };
    ask();
    return call.overhear(({ case: what }) => {
      if (what === "lobbyChanged") told++;
      if (what === "joined") ask(); // a conversation that had to begin anew has missed something
    });
  }, [call, meeting, isAsked]);
}

/** In place of the form with which one joins. */
export function WaitingRoom({ title, ahead, leave }: { title: string; ahead: number; leave: () => void }) {
  const { t } = useI18n();
  return (
    <>
      <h1>{title}</h1>
      <div role="status">
        <p>{t("waiting")}</p>
        <p className="faint">{ahead === 0 ? t("waitingNext") : t("waitingAhead", { count: ahead })}</p>
      </div>
      <p className="actions">
        <button type="button" className="quiet" onClick={leave}>
          {t("leave")}
        </button>
      </p>
    </>
  );
}

/** Tells those who run the meeting that somebody waits, wherever they are in the call. */
export function LobbyNotice({ state, control, show }: { state: CallState; control: Control; show: (() => void) | undefined }) {
  const { t } = useI18n();
  const { waiting } = state;
  const [first] = waiting;
  return (
    <div role="status">
      {first !== undefined && (
        <div className="notice">
          <span>
            {waiting.length === 1 ? t("lobbyOne", { name: first.displayName }) : t("lobbySome", { count: waiting.length })}
          </span>
          <span className="actions">
            <button type="button" className="primary" onClick={() => (waiting.length === 1 ? control.admit(first.name) : control.admitAll())}>
              {t(waiting.length === 1 ? "admit" : "admitAll")}
            </button>
            {show !== undefined && (
              <button type="button" className="quiet" onClick={show}>
                {t("lobbyShow")}
              </button>
            )}
          </span>
        </div>
      )}
    </div>
  );
}

/** Who waits, in order of coming, in the list of people. */
export function WaitingList({ state, control }: { state: CallState; control: Control }) {
  const { t } = useI18n();
  const { waiting } = state;
  if (waiting.length === 0) return null;
  return (
    <section className="hands queue">
      <h3>{t("lobby")}</h3>
      <ul aria-label={t("lobby")}>
        {waiting.map(({ name, displayName }) => (
          <li key={name}>
            <span className="cut">{displayName}</span>
            <span className="marks">
              <button type="button" className="quiet" aria-label={t("admitOne", { name: displayName })} onClick={() => control.admit(name)}>
                {t("admit")}
              </button>
              <button type="button" className="quiet" aria-label={t("denyOne", { name: displayName })} onClick={() => control.deny(name)}>
                {t("deny")}
              </button>
            </span>
          </li>
        ))}
      </ul>
      {waiting.length > 1 && (
        <button type="button" className="quiet" onClick={control.admitAll}>
          {t("admitAll")}
        </button>
      )}
    </section>
  );
}
