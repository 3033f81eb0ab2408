/** The meetings that one hosts or has joined: to come, live, past; and what their hosts do with them. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useCallback, useState } from "react";
import { meetings } from "../api/client";
import { type Meeting, MeetingState } from "../gen/parley/meeting/v1/meeting_pb";
import type { User } from "../gen/parley/user/v1/user_pb";
import type { Words } from "../i18n";
import { useI18n } from "../i18n";
import { type Deed, useDeeds } from "./deeds";
import { Icon } from "./icons";
import { go } from "./navigation";
import { Listed, usePages } from "./pages";
import { Field, Form, Problem } from "./parts";

const FILTERS = [
  { state: MeetingState.UNSPECIFIED, text: "filter.all" },
  { state: MeetingState.SCHEDULED, text: "filter.upcoming" },
  { state: MeetingState.ACTIVE, text: "filter.live" },
  { state: MeetingState.ENDED, text: "filter.past" },
  { state: MeetingState.CANCELLED, text: "filter.cancelled" },
] as const;

export function MyMeetings({ user, changed }: { user: User; changed: () => void }) {
  const { t } = useI18n();
  const [wanted, setWanted] = useState<{ query: string; state: MeetingState }>({ query: "", state: MeetingState.UNSPECIFIED });
  const ask = useCallback(
    async (pageToken: string) => {
      const { meetings: items, nextPageToken } = await meetings.searchMeetings({ ...wanted, pageSize: 10, pageToken });
      return { items, nextPageToken };
    },
    [wanted],
  );
  const pages = usePages<Meeting>(ask);
  const { deedsOf, problem, question } = useDeeds((before, now) => {
    if (now === undefined) pages.reload();
    else pages.replace(before, now);
    changed();
  });
  const find = ({ query = "" }: Record<string, string>) => {
    setWanted({ ...wanted, query: query.trim() });
    return Promise.resolve();
  };
  const isSearch = wanted.query !== "" || wanted.state !== MeetingState.UNSPECIFIED;
  return (
    <section className="card" aria-label={t("yourMeetings")}>
      <h2>{t("yourMeetings")}</h2>
      <div className="finding">
        <div className="filters" role="group" aria-label={t("state")}>
          {FILTERS.map(({ state, text }) => (
            <button
              key={text}
              type="button"
              className="quiet"
              aria-pressed={state === wanted.state}
              onClick={() => setWanted({ ...wanted, state })}
            >
              {t(text)}
            </button>
          ))}
        </div>
        <div role="search">
          <Form submit={find} action={t("search")}>
            <Field label={t("searchMeetings")} name="query" type="search" maxLength={200} />
          </Form>
        </div>
      </div>
      <Problem text={problem} />
      <Listed pages={pages} none={t(isSearch ? "noMeetingsFound" : "noMeetings")}>
        {(items) => (
          <ul className="listed brief">
            {items.map((each) => (
              <Row key={each.name} meeting={each} deeds={each.host === user.name ? deedsOf(each) : []} />
            ))}
          </ul>
        )}
      </Listed>
      {question}
    </section>
  );
}

function Row({ meeting, deeds }: { meeting: Meeting; deeds: readonly Deed[] }) {
  const { t, language } = useI18n();
  const { title, state, endToEndEncrypted, createTime } = meeting;
  const code = meeting.name.replace("meetings/", "");
  const isOpen = state === MeetingState.SCHEDULED || state === MeetingState.ACTIVE;
  return (
    <li>
      <div>
        <div className="title">
          {title}
          {endToEndEncrypted && (
            <span role="img" aria-label={t("encrypted")}>
              <Icon name="lock" />
            </span>
          )}
        </div>
        <div className="faint">
          <span className="code">{code}</span> · {createTime && when(timestampDate(createTime), language)} · {stateText(meeting, t)}
        </div>
        <div className="deeds">
          {isOpen && (
            <button type="button" className="link" aria-label={t("detailsOf", { title })} onClick={() => go(`/s/${code}`)}>
              {t("details")}
            </button>
          )}
          {deeds.map(({ text, label, act }) => (
            <button key={label} type="button" className="link" aria-label={label} onClick={act}>
              {text}
            </button>
          ))}
        </div>
      </div>
      {state === MeetingState.ENDED && (
        <button type="button" className="link" onClick={() => go(`/r/${code}`)} aria-label={`${t("record")}: ${title}`}>
          {t("record")}
        </button>
      )}
      {isOpen && (
        <button type="button" className="quiet" onClick={() => go(`/m/${code}`)} aria-label={`${t("join")}: ${title}`}>
          {t("join")}
        </button>
      )}
    </li>
  );
}

/** Where a meeting is in its life, in words. */
export function stateText({ state, participantCount: count }: Meeting, t: Words["t"]): string {
  switch (state) {
    case MeetingState.ENDED:
      return t("ended");
    case MeetingState.CANCELLED:
      return t("cancelled");
    case MeetingState.ACTIVE:
      return count > 0 ? t("inProgress", { count }) : t("emptyNow");
    default:
      return t("notStarted");
  }
}

function when(date: Date, language: string): string {
  return date.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}
