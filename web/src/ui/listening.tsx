/** What listens and looks, at the top of the call for as long as it does, and how to say no; and the questions of it. */
import { type ReactNode, useId } from "react";
import { concerns, type Kind, type Question, questionOf } from "../call/listening";
import { retentionDays } from "../call/settings";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import { useI18n } from "../i18n";
import type { Consent } from "./consent";
import { Icon, type IconName } from "./icons";
import { Dialog, Problem } from "./parts";

const ICONS: Record<Kind, IconName> = {
  captions: "captions",
  transcript: "transcript",
  summary: "summary",
  emotions: "emotions",
  voice: "voice",
};
/** What one answers by agreeing to each; nobody is asked whether others may see that they speak. */
const QUESTIONS: Partial<Record<Kind, Question>> = {
  captions: "captions",
  transcript: "transcript",
  summary: "transcript",
  emotions: "emotions",
};

interface ListeningProps {
  kinds: readonly Kind[];
  settings: Settings | undefined;
  consent: Consent;
  answer: (question: Question, agrees: boolean) => void;
  children?: ReactNode;
}

/** A badge for each thing that listens or looks; opened, it tells what is done, where it goes, and how to say no. */
export function Listening({ kinds, settings, consent, answer, children }: ListeningProps) {
  const { t } = useI18n();
  const group = useId();
  if (kinds.length === 0) return null;
  return (
    <div className="listening">
      <ul aria-label={t("listeningTitle")}>
        {kinds.map((kind) => (
          <li key={kind}>
            <details
              name={group}
              data-kind={kind}
              onKeyDown={(event) => {
                if (event.key !== "Escape" || !event.currentTarget.open) return;
                event.preventDefault();
                event.currentTarget.open = false;
              }}
            >
              <summary>
                <Icon name={ICONS[kind]} />
                {t(`listening.${kind}`)}
                {!concerns(kind, consent) && <span className="faint">· {t("notMe")}</span>}
              </summary>
              <div className="card">
                <About kind={kind} settings={settings} />
                {kind !== "voice" && <Mine kind={kind} consent={consent} answer={answer} />}
              </div>
            </details>
          </li>
        ))}
      </ul>
      {children}
    </div>
  );
}

/** The same in words alone, for those who are not in yet. */
export function ListeningList({ kinds }: { kinds: readonly Kind[] }) {
  const { t } = useI18n();
  if (kinds.length === 0) return null;
  return (
    <ul className="listening-list" aria-label={t("listeningTitle")}>
      {kinds.map((kind) => (
        <li key={kind}>
          <Icon name={ICONS[kind]} />
          {t(`listening.${kind}`)}
        </li>
      ))}
    </ul>
  );
}

function About({ kind, settings }: { kind: Kind; settings: Settings | undefined }) {
  const { t } = useI18n();
  const days = retentionDays(settings);
  const where = kind === "transcript" && days === 0 ? "listening.transcript.whereShort" : (`listening.${kind}.where` as const);
  return (
    <>
      <p>{t(`listening.${kind}.what`)}</p>
      <p>{t(where, { days })}</p>
      {kind === "captions" && (settings?.translationLanguageCodes.length ?? 0) > 0 && (
        <p>{t("listening.captions.translated")}</p>
      )}
    </>
  );
}

/** Whether it concerns oneself, and the button by which it does not, or does. */
function Mine({ kind, consent, answer }: { kind: Exclude<Kind, "voice">; consent: Consent; answer: ListeningProps["answer"] }) {
  const { t } = useI18n();
  const question = QUESTIONS[kind];
  const agrees = concerns(kind, consent);
  // What is not captioned can't be kept: one has to agree to being captioned first.
  const waits = consent.captionsDeclined && question === "transcript";
  return (
    <p className="mine">
      <strong>{t(`mine.${kind}.${agrees ? "yes" : "no"}`)}</strong>
      {question !== undefined && !waits && (
        <button type="button" className="quiet" onClick={() => answer(question, !agrees)}>
          {t(`${agrees ? "decline" : "agree"}.${kind}`)}
        </button>
      )}
    </p>
  );
}

interface QuestionsProps extends Pick<ListeningProps, "settings" | "consent" | "answer"> {
  /** What went wrong with the last answer, if anything did. */
  problem: string;
}

/** Asks what has to be asked, one thing after the other. */
export function Questions({ settings, consent, answer, problem }: QuestionsProps) {
  const { t } = useI18n();
  const question = questionOf(settings, consent, consent.answered);
  if (question === undefined) return null;
  if (question === "captions")
    return (
      <div className="notice" role="status">
        <span>{t("captionsNotice")}</span>
        <span className="actions">
          <button type="button" className="primary" onClick={() => answer("captions", true)}>
            {t("gotIt")}
          </button>
          <button type="button" className="quiet" onClick={() => answer("captions", false)}>
            {t("decline.captions")}
          </button>
        </span>
      </div>
    );
  const kind = question === "emotions" ? "emotions" : settings?.transcript === true ? "transcript" : "summary";
  const { ask, yes } = WORDS[kind];
  return (
    <Dialog key={question} label={t(ask)} close={() => answer(question, false)}>
      <h2>{t(ask)}</h2>
      <About kind={kind} settings={settings} />
      {kind === "emotions" && <p>{t("askEmotionsFree")}</p>}
      <p className="faint">{t("askAnyTime")}</p>
      <Problem text={problem} />
      <div className="actions">
        <button type="button" className="primary" onClick={() => answer(question, true)}>
          {t(yes)}
        </button>
        <button type="button" className="quiet" data-first onClick={() => answer(question, false)}>
          {t("no")}
        </button>
      </div>
    </Dialog>
  );
}

const WORDS = {
  transcript: { ask: "askTranscript", yes: "yesKeep" },
  summary: { ask: "askSummary", yes: "yesUse" },
  emotions: { ask: "askEmotions", yes: "yesRead" },
} as const;
