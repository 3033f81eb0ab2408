/** Reactions: those that are shown float up over the stage, and the button to show one. */
import { useSyncExternalStore } from "react";
import type { Call, CallState } from "../call/call";
import { EMOJI } from "../call/reactions";
import { useI18n } from "../i18n";
import { ControlButton, Menu } from "./parts";

const LANES = 5;

export function Floating({ call, state }: { call: Call; state: CallState }) {
  const { t } = useI18n();
  const shown = useSyncExternalStore(call.reactions.subscribe, call.reactions.snapshot);
  const nameOf = (participant: string) => state.participants.find(({ name }) => name === participant)?.displayName ?? "?";
  const last = shown.at(-1);
  return (
    <>
      <ul className="floating" aria-hidden="true">
        {shown.map(({ key, participant, emoji }) => (
          <li key={key} className={`lane-${key % LANES}`}>
            <span className="emoji">{emoji}</span>
            <span className="cut">{participant === state.me ? t("youFirst") : nameOf(participant)}</span>
          </li>
        ))}
      </ul>
      <p className="unseen" aria-live="polite">
        {last !== undefined && last.participant !== state.me && (
          <span key={last.key}>{t("newsReaction", { name: nameOf(last.participant), emoji: last.emoji })}</span>
        )}
      </p>
    </>
  );
}

export function ReactionsMenu({ isOpen, setOpen, react }: { isOpen: boolean; setOpen: (isOpen: boolean) => void; react: (emoji: string) => void }) {
  const { t } = useI18n();
  return (
    <Menu close={() => setOpen(false)}>
      <ControlButton icon="reaction" label={t("react")} shortcut="R" expanded={isOpen} onClick={() => setOpen(!isOpen)} />
      {isOpen && (
        <div className="card reactions" role="group" aria-label={t("react")}>
          {EMOJI.map((emoji, place) => (
            <button key={emoji} type="button" autoFocus={place === 0} onClick={() => react(emoji)}>
              {emoji}
            </button>
          ))}
        </div>
      )}
    </Menu>
  );
}
