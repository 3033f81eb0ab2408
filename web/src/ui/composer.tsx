/** Where messages are written, and edited: to whom, in answer to what, and why not, where one can't. */
import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import type { CallState } from "../call/call";
import { type Chat, type Openness, otherOf } from "../call/chat";
import type { ChatMessage } from "../gen/parley/meeting/v1/chat_pb";
import { useI18n } from "../i18n";
import { Quoted } from "./message";
import { Problem } from "./parts";

const MOST_CHARACTERS = 4_000;

/** What is written: an answer, another text for an old message, or neither. */
export interface Aim {
  readonly replyTo?: ChatMessage;
  readonly edited?: ChatMessage;
}

interface ComposerProps {
  /** What is typed and not sent. */
  draft: RefObject<string>;
  chat: Chat;
  state: CallState;
  openness: Openness;
  /** To whom new messages go, `meetings/{code}/participants/{id}`; empty: all. */
  recipient: string;
  setRecipient: (recipient: string) => void;
  aim: Aim;
  setAim: (aim: Aim) => void;
  nameOf: (participant: string) => string | undefined;
  /** A message was sent. */
  sent: () => void;
}

export function Composer({ draft, chat, state, openness, recipient: chosen, setRecipient, aim, setAim, nameOf, sent }: ComposerProps) {
  const { t, explain } = useI18n();
  const { replyTo, edited } = aim;
  const recipient = recipientOf(aim, state.me) ?? chosen;
  const [text, setShownText] = useState(edited?.text ?? draft.current);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => box.current?.focus(), [replyTo]);
  if (openness === "off" || openness === "hosts") return <p className="faint">{t(`chatPolicy.${openness}`)}</p>;

  // What was meant for one alone must never go to all: who is gone stays the recipient, and nothing is sent.
  const isGone = recipient !== "" && !state.participants.some(({ name }) => name === recipient);
  const isForbidden = recipient !== "" && openness === "public";
  const hindrance = edited !== undefined ? "" : isForbidden ? t("chatPolicy.public") : isGone ? t("chatRecipientGone") : "";
  const setText = (words: string) => {
    setShownText(words);
    if (edited === undefined) draft.current = words;
  };
  const stop = () => setAim({});
  const send = async () => {
    const words = text.trim();
    if (words === "" || isBusy || hindrance !== "") return;
    setBusy(true);
    setProblem("");
    try {
      if (edited !== undefined) await chat.edit(edited.name, words);
      else await chat.send({ text: words, recipient, replyTo: replyTo?.name ?? "" });
      setText("");
      stop();
      if (edited === undefined) sent();
    } catch (error) {
      setProblem(explain(error));
    } finally {
      setBusy(false);
      box.current?.focus();
    }
  };
  const press = (event: KeyboardEvent) => {
    // Enter that ends the choice of a character (an input method's) sends nothing.
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      void send();
    } else if (event.key === "Escape" && (edited !== undefined || replyTo !== undefined)) {
      event.preventDefault();
      stop();
    }
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {edited !== undefined || replyTo !== undefined ? (
        <p className="aim">
          <span>
            {edited !== undefined ? t("chatEditing") : t("chatReplying")}
            {recipient !== "" && ` · ${t("chatPrivateTo", { name: nameOf(recipient) ?? t("chatSomebody") })}`}
          </span>
          <button type="button" className="link" onClick={stop}>
            {t("cancel")}
          </button>
        </p>
      ) : (
        <Recipients state={state} openness={openness} recipient={recipient} nameOf={nameOf} choose={setRecipient} />
      )}
      {replyTo !== undefined && <Quoted original={replyTo} />}
      {openness === "public" && <p className="faint">{t("chatPolicy.public")}</p>}
      <Problem text={problem === "" ? hindrance : problem} />
      <div className="line">
        <textarea
          ref={box}
          rows={2}
          maxLength={MOST_CHARACTERS}
          aria-label={t("chatMessage")}
          placeholder={t("chatMessage")}
          title={t("chatKeys")}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={press}
        />
        <button className="primary" disabled={isBusy || text.trim() === "" || hindrance !== ""}>
          {t(edited === undefined ? "send" : "save")}
        </button>
      </div>
    </form>
  );
}

/** To whom an answer or a changed message goes, whomever new ones are for. */
function recipientOf({ replyTo, edited }: Aim, me: string): string | undefined {
  if (edited !== undefined) return edited.recipient;
  if (replyTo === undefined) return undefined;
  return replyTo.recipient === "" ? "" : otherOf(replyTo, me);
}

interface RecipientsProps extends Pick<ComposerProps, "state" | "openness" | "nameOf"> {
  recipient: string;
  choose: (recipient: string) => void;
}

/** To whom; where private messages are off there is nothing to choose. */
function Recipients({ state, openness, recipient, nameOf, choose }: RecipientsProps) {
  const { t } = useI18n();
  if (openness === "public" && recipient === "") return null;
  const others = openness === "public" ? [] : state.participants.filter(({ name }) => name !== state.me);
  return (
    <label className="recipients">
      <span>{t("chatTo")}</span>
      <select value={recipient} onChange={(event) => choose(event.target.value)}>
        <option value="">{t("chatEveryone")}</option>
        {others.map(({ name, displayName }) => (
          <option key={name} value={name}>
            {displayName}
          </option>
        ))}
        {recipient !== "" && others.every(({ name }) => name !== recipient) && (
          <option value={recipient}>{nameOf(recipient) ?? t("chatSomebody")}</option>
        )}
      </select>
    </label>
  );
}
