/** The chat beside the stage: it follows what is written, to all or to one; and tells those who can't see it. */
import { type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { chats } from "../api/client";
import type { Call, CallState } from "../call/call";
import { Chat, type ChatState, type Openness, opennessTo } from "../call/chat";
import { isChair } from "../call/roles";
import type { ChatMessage } from "../gen/parley/meeting/v1/chat_pb";
import { useI18n } from "../i18n";
import { type Aim, Composer } from "./composer";
import { useFollowing } from "./following";
import { Message } from "./message";
import { Confirm, Panel, Problem } from "./parts";

/** The chat of the meeting that one is in, from the moment in which one is let in. */
export function useChat(call: Call, meeting: string, me: string, isShown: boolean): Chat {
  const [chat] = useState(() => new Chat(chats, meeting));
  useEffect(() => call.overhear(chat.said), [call, chat]);
  useEffect(() => {
    if (me !== "") void chat.enter(me);
  }, [chat, me]);
  useEffect(() => chat.setOpen(isShown), [chat, isShown]);
  return chat;
}

interface ChatProps {
  chat: Chat;
  state: CallState;
  isEncrypted: boolean;
  close: () => void;
}

export function ChatPanel({ chat, state, isEncrypted, close }: ChatProps) {
  const { t, explain } = useI18n();
  const known = useSyncExternalStore(chat.subscribe, chat.snapshot);
  const [aim, setAim] = useState<Aim>({});
  const [recipient, setRecipient] = useState("");
  /** What is typed and not sent, while an old message is edited. */
  const draft = useRef("");
  const [deleting, setDeleting] = useState<ChatMessage>();
  const [problem, setProblem] = useState("");
  const list = useRef<HTMLDivElement>(null);
  const { isFollowing, follow } = useFollowing(list);
  const role = state.participants.find(({ name }) => name === state.me)?.role;
  const openness = opennessTo(state.settings, role);
  const nameOf = namesIn(state, known);
  const attempt = (work: Promise<unknown>) => {
    setProblem("");
    work.catch((error: unknown) => setProblem(explain(error)));
  };
  const deleteSurely = (sure: boolean) => {
    setDeleting(undefined);
    if (sure && deleting !== undefined) attempt(chat.delete(deleting.name));
  };
  return (
    <Panel kind="transcript chat" label={t("chat")} close={close}>
      {isEncrypted && <p className="faint">{t("chatNotEncrypted")}</p>}
      <Messages
        list={list}
        chat={chat}
        known={known}
        state={state}
        openness={openness}
        nameOf={nameOf}
        setAim={setAim}
        setDeleting={setDeleting}
      />
      {!isFollowing && known.messages.length > 0 && (
        <button type="button" className="primary latest" onClick={follow}>
          {t("jumpToLatest")}
        </button>
      )}
      <Problem text={problem} />
      <Composer
        key={aim.edited?.name ?? ""}
        draft={draft}
        chat={chat}
        state={state}
        openness={openness}
        recipient={recipient}
        setRecipient={setRecipient}
        aim={aim}
        setAim={setAim}
        nameOf={nameOf}
        sent={follow}
      />
      {deleting !== undefined && <Confirm text={t("chatDeleteSure")} action={t("delete")} done={deleteSurely} />}
    </Panel>
  );
}

interface MessagesProps {
  list: RefObject<HTMLDivElement | null>;
  chat: Chat;
  known: ChatState;
  state: CallState;
  openness: Openness;
  nameOf: (participant: string) => string | undefined;
  setAim: (aim: Aim) => void;
  setDeleting: (message: ChatMessage) => void;
}

function Messages({ list, chat, known, state, openness, nameOf, setAim, setDeleting }: MessagesProps) {
  const { t, explain } = useI18n();
  const { messages, hasEarlier, isLoading, error } = known;
  const mayWrite = openness === "open" || openness === "public";
  const moderates = state.participants.some(({ name, role }) => name === state.me && isChair(role));
  return (
    <div ref={list} className="scrolling" tabIndex={0} role="log" aria-live="off" aria-label={t("chat")}>
      {error !== undefined && <Problem text={explain(error)} />}
      {(hasEarlier || error !== undefined) && (
        <button type="button" className="link" disabled={isLoading} onClick={() => void chat.earlier()}>
          {t(error === undefined ? "chatEarlier" : "tryAgain")}
        </button>
      )}
      {isLoading && <p className="faint">{t("loading")}</p>}
      {messages.length === 0 && !isLoading && error === undefined && <p className="faint">{t("chatEmpty")}</p>}
      <ol className="messages">
        {messages.map((message) => {
          const isMine = message.sender === state.me;
          const isGone = message.deleteTime !== undefined;
          const mayReply = mayWrite && !isGone && (message.recipient === "" || openness === "open");
          return (
            <Message
              key={message.name}
              message={message}
              me={state.me}
              nameOf={nameOf}
              original={messages.find(({ name }) => name === message.replyTo)}
              reply={mayReply ? () => setAim({ replyTo: message }) : undefined}
              edit={isMine && !isGone && mayWrite ? () => setAim({ edited: message }) : undefined}
              remove={(isMine || moderates) && !isGone ? () => setDeleting(message) : undefined}
            />
          );
        })}
      </ol>
    </div>
  );
}

/** Tells what others write to those who can't see the chat, wherever they are in the call. */
export function ChatAnnouncer({ chat }: { chat: Chat }) {
  const { t } = useI18n();
  const { latest } = useSyncExternalStore(chat.subscribe, chat.snapshot);
  return (
    <p className="unseen" aria-live="polite">
      {latest !== undefined && (
        <span key={latest.name}>
          {t(latest.recipient === "" ? "newsChat" : "newsChatPrivate", {
            name: latest.senderDisplayName,
            text: latest.text,
          })}
        </span>
      )}
    </p>
  );
}

/** What somebody is called: who is here, or has written something. */
function namesIn(state: CallState, { messages }: ChatState): (participant: string) => string | undefined {
  const names = new Map(messages.map(({ sender, senderDisplayName }) => [sender, senderDisplayName]));
  for (const { name, displayName } of state.participants) names.set(name, displayName);
  return (participant) => names.get(participant);
}
