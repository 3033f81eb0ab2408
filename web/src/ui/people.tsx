/** The list of those who are in the call, beside the stage. */
import { type ReactNode, useState } from "react";
import type { CallState } from "../call/call";
import { mayActOn, runs } from "../call/roles";
import { ownOf, trackOf } from "../call/room";
import { type Participant, ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { MuteTarget } from "../gen/parley/meeting/v1/participant_pb";
import { useI18n } from "../i18n";
import type { Control } from "./control";
import { Icon } from "./icons";
import { WaitingList } from "./lobby";
import { Panel } from "./parts";
import { PersonControls } from "./person";
import { Bars } from "./quality";

const ROLES: Partial<Record<ParticipantRole, "host" | "role.cohost" | "role.presenter">> = {
  [ParticipantRole.HOST]: "host",
  [ParticipantRole.COHOST]: "role.cohost",
  [ParticipantRole.PRESENTER]: "role.presenter",
};

interface PeopleProps {
  state: CallState;
  ownMuted: boolean;
  /** Whether the meeting lets nobody new in. */
  isLocked: boolean;
  /** Whether we are the host, or stand in for the host. */
  isHost: boolean;
  /** Given to those who run the meeting. */
  control: Control | undefined;
  /** Given to those who may lower the hands of others. */
  lower: ((participant: string) => void) | undefined;
  /** Given to those who may read who attended. */
  download: (() => void) | undefined;
  close: () => void;
  children: ReactNode;
}

export function People({ state, ownMuted, isLocked, isHost, control, lower, download, close, children }: PeopleProps) {
  const { t } = useI18n();
  const isMuted = (name: string): boolean =>
    name === state.me ? ownMuted : (trackOf(state, name, "microphone")?.muted ?? true);
  return (
    <Panel kind="people" label={t("people", { count: state.participants.length })} close={close}>
      {control !== undefined && <WaitingList state={state} control={control} />}
      <Hands state={state} lower={lower} />
      <ul>
        {state.participants.map((person) => (
          <Person
            key={person.name}
            person={person}
            state={state}
            isMuted={isMuted(person.name)}
            isHost={isHost}
            control={control !== undefined && (isHost || mayActOn(ownOf(state), person)) ? control : undefined}
          />
        ))}
      </ul>
      {control !== undefined && (
        <div className="deeds">
          <button type="button" className="quiet" onClick={() => control.muteAll(MuteTarget.AUDIO)}>
            {t("muteAll")}
          </button>
          <button type="button" className="quiet" aria-pressed={isLocked} onClick={() => control.setLocked(!isLocked)}>
            {t(isLocked ? "unlock" : "lockMeeting")}
          </button>
        </div>
      )}
      {download !== undefined && (
        <button type="button" className="link" onClick={download}>
          {t("attendance")}
        </button>
      )}
      {children}
    </Panel>
  );
}

interface PersonProps {
  person: Participant;
  state: CallState;
  isMuted: boolean;
  isHost: boolean;
  /** Given to those who may act on this one. */
  control: Control | undefined;
}

function Person({ person, state, isMuted, isHost, control }: PersonProps) {
  const { t } = useI18n();
  const [isManaged, setManaged] = useState(false);
  const { name, displayName, role } = person;
  const isOther = name !== state.me;
  const label = ROLES[role] ?? (runs(person) ? "role.cohost" : undefined);
  return (
    <li>
      <span className="cut">
        {displayName}
        {!isOther && ` (${t("you")})`}
        {label !== undefined && <span className="faint"> · {t(label)}</span>}
      </span>
      <span className="marks">
        {state.hands.includes(name) && (
          <span className="up" role="img" aria-label={t("handRaised", { place: state.hands.indexOf(name) + 1 })}>
            <Icon name="hand" />
          </span>
        )}
        {isMuted && (
          <span role="img" aria-label={t("muted")}>
            <Icon name="micOff" />
          </span>
        )}
        <Bars quality={state.qualities.get(name)} />
        {control !== undefined && isOther && (
          <button
            type="button"
            className="quiet"
            aria-label={t("manage", { name: displayName })}
            aria-expanded={isManaged}
            title={t("manage", { name: displayName })}
            onClick={() => setManaged(!isManaged)}
          >
            <Icon name="more" />
          </button>
        )}
      </span>
      {isManaged && control !== undefined && <PersonControls person={person} state={state} control={control} isHost={isHost} />}
    </li>
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
