/** A message of the chat, with what can be done with it. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { stretches } from "../call/links";
import type { ChatMessage } from "../gen/parley/meeting/v1/chat_pb";
import { useI18n } from "../i18n";

interface MessageProps {
  message: ChatMessage;
  me: string;
  nameOf: (participant: string) => string | undefined;
  /** What it answers, if that is known. */
  original: ChatMessage | undefined;
  /** What may be done with it. */
  reply: (() => void) | undefined;
  edit: (() => void) | undefined;
  remove: (() => void) | undefined;
}

export function Message({ message, me, nameOf, original, reply, edit, remove }: MessageProps) {
  const { t, language } = useI18n();
  const { sender, senderDisplayName, recipient, text, media, createTime, editTime, deleteTime, replyTo } = message;
  const time = createTime === undefined ? undefined : timestampDate(createTime);
  const to = recipient === me ? t("you") : (nameOf(recipient) ?? t("chatSomebody"));
  const isGone = deleteTime !== undefined;
  return (
    <li className={recipient === "" ? "message" : "message private"}>
      <p className="from">
        <strong className="cut">{sender === me ? t("youFirst") : senderDisplayName}</strong>
        {recipient !== "" && <span className="to">{t("chatPrivateTo", { name: to })}</span>}
        {time !== undefined && (
          <time className="faint" dateTime={time.toISOString()}>
            {time.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" })}
          </time>
        )}
      </p>
      {replyTo !== "" && !isGone && <Quoted original={original} />}
      {isGone ? (
        <p className="faint">{t("chatDeleted")}</p>
      ) : (
        <p className="said" dir="auto">
          <Linked text={text} />
          {editTime !== undefined && <small className="faint"> {t("chatEdited")}</small>}
        </p>
      )}
      {media.length > 0 && <p className="faint">{t("chatFiles", { count: media.length })}</p>}
      <span className="deeds">
        <Deed label={t("reply")} does={reply} />
        <Deed label={t("edit")} does={edit} />
        <Deed label={t("delete")} does={remove} />
      </span>
    </li>
  );
}

/** What a message answers, in brief. */
export function Quoted({ original }: { original: ChatMessage | undefined }) {
  const { t } = useI18n();
  if (original === undefined) return <blockquote className="cut faint">{t("chatEarlierMessage")}</blockquote>;
  return (
    <blockquote className="cut faint">
      {original.senderDisplayName}: {original.deleteTime === undefined ? original.text : t("chatDeleted")}
    </blockquote>
  );
}

function Linked({ text }: { text: string }) {
  return stretches(text).map(({ text: part, href }, place) =>
    href === undefined ? (
      <span key={place}>{part}</span>
    ) : (
      <a key={place} href={href} target="_blank" rel="noopener noreferrer nofollow">
        {part}
      </a>
    ),
  );
}

function Deed({ label, does }: { label: string; does: (() => void) | undefined }) {
  if (does === undefined) return null;
  return (
    <button type="button" className="link" onClick={does}>
      {label}
    </button>
  );
}
