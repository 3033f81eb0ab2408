/** What those who run a meeting may do with somebody in it, below the name in the list. */
import { useState } from "react";
import type { CallState } from "../call/call";
import { trackOf } from "../call/room";
import type { Source } from "../call/sources";
import { type Participant, ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { MuteTarget } from "../gen/parley/meeting/v1/participant_pb";
import { useI18n } from "../i18n";
import type { Control } from "./control";
import { Confirm } from "./parts";

/** Roles that are given and taken; the host hands over instead. */
const ROLES = [
  { role: ParticipantRole.PARTICIPANT, label: "role.participant" },
  { role: ParticipantRole.PRESENTER, label: "role.presenter" },
  { role: ParticipantRole.COHOST, label: "role.cohost" },
] as const;
const GRANTS = [
  { grant: "publishAudio", label: "grant.audio" },
  { grant: "publishVideo", label: "grant.video" },
  { grant: "publishScreen", label: "grant.screen" },
  { grant: "chat", label: "grant.chat" },
] as const;
/** What asks to be sure, and what it is called. */
const SURE = {
  host: { ask: "makeHostSure", action: "makeHost" },
  remove: { ask: "removeSure", action: "remove" },
  ban: { ask: "removeForGoodSure", action: "removeForGood" },
} as const;

interface PersonProps {
  person: Participant;
  state: CallState;
  control: Control;
  /** Whether we are the host, or stand in for the host. */
  isHost: boolean;
}

export function PersonControls({ person, state, control, isHost }: PersonProps) {
  const { t } = useI18n();
  const [asked, setAsked] = useState<keyof typeof SURE>();
  const { name, displayName, role, grants } = person;
  const sends = (source: Source) => trackOf(state, name, source)?.muted === false;
  const decided = (sure: boolean) => {
    setAsked(undefined);
    if (!sure) return;
    if (asked === "host") control.setRole(name, ParticipantRole.HOST);
    else control.remove(name, asked === "ban");
  };
  return (
    <div className="person" role="group" aria-label={t("manage", { name: displayName })}>
      <div className="deeds">
        {sends("microphone") ? (
          <Deed label={t("mute")} does={() => control.mute(name, MuteTarget.AUDIO)} />
        ) : (
          grants?.publishAudio !== false && <Deed label={t("askToUnmute")} does={() => control.askToUnmute(name, MuteTarget.AUDIO)} />
        )}
        {sends("camera") && <Deed label={t("turnOffCamera")} does={() => control.mute(name, MuteTarget.VIDEO)} />}
        {sends("screen") && <Deed label={t("stopScreen")} does={() => control.mute(name, MuteTarget.SCREEN)} />}
      </div>
      {grants !== undefined && (
        <fieldset>
          <legend>{t("may")}</legend>
          {GRANTS.map(({ grant, label }) => (
            <label key={grant} className="checkbox">
              <input
                type="checkbox"
                checked={grants[grant]}
                onChange={(event) => control.setGrants(name, { ...grants, [grant]: event.target.checked })}
              />
              <span>{t(label)}</span>
            </label>
          ))}
        </fieldset>
      )}
      {isHost && (
        <label className="recipients">
          <span>{t("role")}</span>
          <select
            value={role}
            onChange={(event) => control.setRole(name, ROLES[event.target.selectedIndex]?.role ?? ParticipantRole.PARTICIPANT)}
          >
            {ROLES.map(({ role: each, label }) => (
              <option key={each} value={each}>
                {t(label)}
              </option>
            ))}
          </select>
        </label>
      )}
      <div className="deeds">
        {isHost && <Deed label={t("makeHost")} does={() => setAsked("host")} />}
        <Deed label={t("remove")} does={() => setAsked("remove")} />
        <Deed label={t("removeForGood")} does={() => setAsked("ban")} />
      </div>
      {asked !== undefined && (
        <Confirm text={t(SURE[asked].ask, { name: displayName })} action={t(SURE[asked].action)} done={decided} />
      )}
    </div>
  );
}

function Deed({ label, does }: { label: string; does: () => void }) {
  return (
    <button type="button" className="quiet" onClick={does}>
      {label}
    </button>
  );
}
