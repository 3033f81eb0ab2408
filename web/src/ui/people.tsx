/** The list of those who are in the call, beside the stage. */
import type { CallState } from "../call/call";
import { trackOf } from "../call/room";
import { ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import { Panel } from "./parts";
import { Bars } from "./quality";

interface PeopleProps {
  state: CallState;
  ownMuted: boolean;
  /** Given to those who may lower the hands of others. */
  lower: ((participant: string) => void) | undefined;
  /** Given to those who may read who attended. */
  download: (() => void) | undefined;
  close: () => void;
}

export function People({ state, ownMuted, lower, download, close }: PeopleProps) {
  const { t } = useI18n();
  const isMuted = (name: string): boolean =>
    name === state.me ? ownMuted : (trackOf(state, name, "microphone")?.muted ?? true);
  return (
    <Panel kind="people" label={t("people", { count: state.participants.length })} close={close}>
      <Hands state={state} lower={lower} />
      <ul>
        {state.participants.map(({ name, displayName, role }) => (
          <li key={name}>
            <span className="cut">
              {displayName}
              {name === state.me && ` (${t("you")})`}
              {role === ParticipantRole.HOST && <span className="faint"> · {t("host")}</span>}
            </span>
            <span className="marks">
              {state.hands.includes(name) && (
                <span className="up" role="img" aria-label={t("handRaised", { place: state.hands.indexOf(name) + 1 })}>
                  <Icon name="hand" />
                </span>
              )}
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
      {download !== undefined && (
        <button type="button" className="link" onClick={download}>
          {t("attendance")}
        </button>
      )}
    </Panel>
  );
}

/** Whose hands are raised, in the order of raising. */
function Hands({ state, lower }: Pick<PeopleProps, "state" | "lower">) {
  const { t } = useI18n();
  const raised = state.hands.flatMap((hand) => state.participants.find(({ name }) => name === hand) ?? []);
  if (raised.length === 0) return null;
  return (
    <section className="hands">
      <h3>{t("hands")}</h3>
      <ol aria-label={t("hands")}>
        {raised.map(({ name, displayName }) => (
          <li key={name}>
            <span className="cut">
              {displayName}
              {name === state.me && ` (${t("you")})`}
            </span>
            {lower !== undefined && name !== state.me && (
              <button type="button" className="quiet" aria-label={t("handLowerOf", { name: displayName })} onClick={() => lower(name)}>
                {t("handLowerBrief")}
              </button>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
