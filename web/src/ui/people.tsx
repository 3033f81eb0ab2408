/** The list of those who are in the call, beside the stage. */
import type { ReactNode } from "react";
import type { CallState } from "../call/call";
import { trackOf } from "../call/room";
import { ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import { Bars } from "./quality";

interface PeopleProps {
  state: CallState;
  ownMuted: boolean;
  close: () => void;
  children?: ReactNode;
}

export function People({ state, ownMuted, close, children }: PeopleProps) {
  const { t } = useI18n();
  const isMuted = (name: string): boolean =>
    name === state.me ? ownMuted : (trackOf(state, name, "microphone")?.muted ?? true);
  return (
    <aside className="people card" aria-label={t("people", { count: state.participants.length })}>
      <h2>
        {t("people", { count: state.participants.length })}
        <button type="button" className="quiet" onClick={close}>
          {t("close")}
        </button>
      </h2>
      <ul>
        {state.participants.map(({ name, displayName, role }) => (
          <li key={name}>
            <span className="cut">
              {displayName}
              {name === state.me && ` (${t("you")})`}
              {role === ParticipantRole.HOST && <span className="faint"> · {t("host")}</span>}
            </span>
            <span className="marks">
              {isMuted(name) && (
                <span role="img" aria-label={t("muted")}>
                  <Icon name="micOff" />
                </span>
              )}
              <Bars quality={state.qualities.get(name)} />
            </span>
          </li>
        ))}
      </ul>
      {children}
    </aside>
  );
}
