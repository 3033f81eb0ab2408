/** Webhooks: where programs are told of one's meetings, and what could not be delivered to them. */
import { useCallback, useState } from "react";
import { newRequestId, webhooks } from "../api/client";
import { type Delivery, DeliveryState, MeetingEventType, type Webhook } from "../gen/parley/meeting/v1/webhook_pb";
import type { Texts } from "../i18n/en";
import { useI18n } from "../i18n";
import { Listed, usePages } from "./pages";
import { Checkbox, Confirm, Field, Form, Problem } from "./parts";
import { Secret } from "./secrets";
import { timeText } from "./times";

/** What the form calls the box of an event, with its number after it. */
const TYPE = "type.";
const TYPES: readonly { readonly type: MeetingEventType; readonly text: keyof Texts }[] = [
  { type: MeetingEventType.CREATED, text: "event.CREATED" },
  { type: MeetingEventType.UPDATED, text: "event.UPDATED" },
  { type: MeetingEventType.STARTED, text: "event.STARTED" },
  { type: MeetingEventType.ENDED, text: "event.ENDED" },
  { type: MeetingEventType.CANCELLED, text: "event.CANCELLED" },
  { type: MeetingEventType.PARTICIPANT_JOINED, text: "event.PARTICIPANT_JOINED" },
  { type: MeetingEventType.PARTICIPANT_LEFT, text: "event.PARTICIPANT_LEFT" },
  { type: MeetingEventType.PARTICIPANT_WAITING, text: "event.PARTICIPANT_WAITING" },
  { type: MeetingEventType.RECORDING_STARTED, text: "event.RECORDING_STARTED" },
  { type: MeetingEventType.RECORDING_READY, text: "event.RECORDING_READY" },
  { type: MeetingEventType.TRANSCRIPT_READY, text: "event.TRANSCRIPT_READY" },
  { type: MeetingEventType.SUMMARY_READY, text: "event.SUMMARY_READY" },
];

interface Question {
  readonly text: string;
  readonly action: string;
  readonly work: () => Promise<unknown>;
  /** What to say when it is done. */
  readonly said: string;
}

async function ask(pageToken: string) {
  const { webhooks: items, nextPageToken } = await webhooks.listWebhooks({ pageSize: 20, pageToken });
  return { items, nextPageToken };
}

export function WebhooksCard() {
  const { t, explain } = useI18n();
  const pages = usePages<Webhook>(ask);
  const [secret, setSecret] = useState("");
  const [question, setQuestion] = useState<Question>();
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState("");
  const make = async (values: Record<string, string>) => {
    const types = TYPES.map(({ type }) => type).filter((type) => values[`${TYPE}${type}`] !== undefined);
    const webhook = { uri: (values.uri ?? "").trim(), types };
    setSecret((await webhooks.createWebhook({ webhook, requestId: newRequestId() })).secret);
    pages.reload();
  };
  const answered = async (sure: boolean) => {
    setQuestion(undefined);
    setProblem("");
    setSaid("");
    if (!sure || question === undefined) return;
    try {
      await question.work();
      setSaid(question.said);
    } catch (error) {
      setProblem(explain(error));
    }
    pages.reload();
  };
  const remove = ({ name, uri }: Webhook) => {
    const work = () => webhooks.deleteWebhook({ name });
    setQuestion({ text: t("webhookDeleteSure", { uri }), action: t("webhookDelete"), work, said: "" });
  };
  const replay = ({ name, uri }: Webhook) => {
    const work = () => webhooks.replayWebhook({ name });
    setQuestion({ text: t("webhookReplaySure", { uri }), action: t("webhookReplay"), work, said: t("webhookReplayed") });
  };
  return (
    <section className="card" aria-label={t("webhooks")}>
      <h2>{t("webhooks")}</h2>
      <p className="faint">{t("webhooksHint")}</p>
      <Listed pages={pages} none={t("webhooksNone")}>
        {(items) => (
          <ul className="listed">
            {items.map((each) => (
              <Row key={each.name} webhook={each} remove={() => remove(each)} replay={() => replay(each)} />
            ))}
          </ul>
        )}
      </Listed>
      <Problem text={problem} />
      <p role="status">{secret === "" ? said : t("webhookOnce")}</p>
      {secret !== "" && <Secret label={t("webhookOnce")} text={secret} />}
      <Form key={secret} submit={make} action={t("webhookMake")}>
        <Field label={t("webhookUri")} name="uri" type="url" hint={t("webhookUriHint")} required maxLength={1024} />
        <fieldset>
          <legend>{t("webhookTypes")}</legend>
          <small className="faint">{t("webhookTypesHint")}</small>
          {TYPES.map(({ type, text }) => (
            <Checkbox key={type} name={`${TYPE}${type}`} label={t(text)} />
          ))}
        </fieldset>
      </Form>
      {question !== undefined && (
        <Confirm text={question.text} action={question.action} done={(sure) => void answered(sure)} />
      )}
    </section>
  );
}

function Row({ webhook, remove, replay }: { webhook: Webhook; remove: () => void; replay: () => void }) {
  const { t, language } = useI18n();
  const { uri, types, createTime, pauseTime } = webhook;
  const [isOpen, setOpen] = useState(false);
  const events = TYPES.filter(({ type }) => types.includes(type)).map(({ text }) => t(text));
  const made = t("webhookMade", { time: timeText(createTime, language) });
  return (
    <li aria-label={uri}>
      <div>
        <div>{uri}</div>
        <div className="faint">{[events.length === 0 ? t("webhookAll") : events.join(", "), made].join(" · ")}</div>
        {pauseTime !== undefined && <strong>{t("webhookPaused", { time: timeText(pauseTime, language) })}</strong>}
      </div>
      <div className="actions wrapped">
        <button
          type="button"
          className="quiet"
          aria-expanded={isOpen}
          aria-label={t("webhookGivenUpOf", { uri })}
          onClick={() => setOpen(!isOpen)}
        >
          {t("webhookGivenUp")}
        </button>
        <button type="button" className="quiet" aria-label={t("webhookReplayOf", { uri })} onClick={replay}>
          {t("webhookReplay")}
        </button>
        <button type="button" className="quiet" aria-label={t("webhookDeleteOf", { uri })} onClick={remove}>
          {t("webhookDelete")}
        </button>
      </div>
      {isOpen && <GivenUp webhook={webhook.name} />}
    </li>
  );
}

/** The events that could not be delivered to a webhook. */
function GivenUp({ webhook }: { webhook: string }) {
  const { t } = useI18n();
  const askOf = useCallback(
    async (pageToken: string) => {
      const wanted = { parent: webhook, state: DeliveryState.GIVEN_UP, pageSize: 20, pageToken };
      const { deliveries: items, nextPageToken } = await webhooks.listDeliveries(wanted);
      return { items, nextPageToken };
    },
    [webhook],
  );
  const pages = usePages<Delivery>(askOf);
  return (
    <div className="given-up">
      <Listed pages={pages} none={t("webhookGivenUpNone")}>
        {(items) => (
          <ul>
            {items.map((each) => (
              <GivenUpEvent key={each.event?.id} delivery={each} />
            ))}
          </ul>
        )}
      </Listed>
    </div>
  );
}

function GivenUpEvent({ delivery }: { delivery: Delivery }) {
  const { t, language } = useI18n();
  const { event, attemptCount: count, attemptTime, httpStatus: status } = delivery;
  const type = TYPES.find((each) => each.type === event?.type);
  const about = [
    type === undefined ? "" : t(type.text),
    timeText(event?.time, language),
    t("webhookTries", { count, time: timeText(attemptTime, language) }),
    status === 0 ? t("webhookNoAnswer") : t("webhookAnswer", { status }),
  ];
  return (
    <li>
      {event?.meeting?.title} <span className="faint">{about.filter((each) => each !== "").join(" · ")}</span>
    </li>
  );
}
