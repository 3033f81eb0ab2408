/** Start a meeting, join one, or go back to one. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useCallback, useEffect, useState } from "react";
import { meetings, newRequestId, settings } from "../api/client";
import { Complaint } from "../api/errors";
import { parseCode } from "../call/code";
import { canEncrypt } from "../call/e2ee/encryption";
import { newSecret, pathTo, secretOf } from "../call/e2ee/secret";
import { type Meeting, MeetingState } from "../gen/parley/meeting/v1/meeting_pb";
import type { User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import { go } from "./navigation";
import { Checkbox, Field, Form, Problem } from "./parts";

export function HomePage({ user }: { user: User }) {
  const { t } = useI18n();
  const start = async (values: Record<string, string>) => {
    const title = values.title?.trim();
    const meeting = await meetings.createMeeting({
      meeting: { title: title === undefined || title === "" ? t("defaultTitle") : title },
      requestId: newRequestId(),
    });
    const secret = values.encrypted === undefined ? undefined : newSecret();
    if (secret !== undefined)
      await settings.updateSettings({
        settings: { name: `${meeting.name}/settings`, etag: meeting.etag, endToEndEncrypted: true },
        updateMask: { paths: ["end_to_end_encrypted"] },
      });
    go(pathTo(codeOf(meeting), secret));
  };
  const join = (values: Record<string, string>): Promise<void> => {
    const link = values.code ?? "";
    const code = parseCode(link);
    if (code === undefined) return Promise.reject(new Complaint(t("codeWrong")));
    go(pathTo(code, secretOf(link)));
    return Promise.resolve();
  };
  return (
    <div className="home">
      <h1>{t("hello", { name: user.displayName })}</h1>
      <div className="columns">
        <section className="card">
          <h2>{t("startNow")}</h2>
          <p className="faint">{t("startNowHint")}</p>
          <Form submit={start} action={t("start")}>
            <Field label={t("meetingTitle")} name="title" maxLength={200} placeholder={t("defaultTitle")} />
            <Checkbox
              label={t("encrypt")}
              name="encrypted"
              hint={t(canEncrypt() ? "encryptHint" : "encryptUnsupported")}
              disabled={!canEncrypt()}
            />
          </Form>
        </section>
        <section className="card">
          <h2>{t("joinByCode")}</h2>
          <p className="faint">{t("joinByCodeHint")}</p>
          <Form submit={join} action={t("join")}>
            <Field label={t("code")} name="code" placeholder={t("codeHint")} autoComplete="off" required />
          </Form>
        </section>
      </div>
      <MyMeetings />
    </div>
  );
}

function MyMeetings() {
  const { t, explain } = useI18n();
  const [list, setList] = useState<readonly Meeting[]>();
  const [next, setNext] = useState("");
  const [problem, setProblem] = useState("");
  const load = useCallback(
    async (pageToken: string) => {
      try {
        const page = await meetings.listMeetings({ pageSize: 10, pageToken });
        setList((before) => (pageToken === "" ? page.meetings : [...(before ?? []), ...page.meetings]));
        setNext(page.nextPageToken);
        setProblem("");
      } catch (error) {
        setProblem(explain(error));
      }
    },
    [explain],
  );
  useEffect(() => void load(""), [load]);
  return (
    <section className="card">
      <h2>{t("yourMeetings")}</h2>
      <Problem text={problem} />
      {list === undefined && problem === "" && <p className="faint">{t("loading")}</p>}
      {list?.length === 0 && <p className="faint">{t("noMeetings")}</p>}
      <ul className="meetings">
        {list?.map((meeting) => <Row key={meeting.name} meeting={meeting} />)}
      </ul>
      {next !== "" && (
        <button type="button" className="quiet" onClick={() => load(next)}>
          {t("more")}
        </button>
      )}
    </section>
  );
}

function Row({ meeting }: { meeting: Meeting }) {
  const { t, language } = useI18n();
  const code = codeOf(meeting);
  const over = meeting.state === MeetingState.ENDED;
  const about = over
    ? t("ended")
    : meeting.participantCount > 0
      ? t("inProgress", { count: meeting.participantCount })
      : t("notStarted");
  return (
    <li>
      <span className="title">
        {meeting.title}
        {meeting.endToEndEncrypted && (
          <span role="img" aria-label={t("encrypted")}>
            <Icon name="lock" />
          </span>
        )}
      </span>
      <span className="faint">
        <span className="code">{code}</span> ·{" "}
        {meeting.createTime && when(timestampDate(meeting.createTime), language)} · {about}
      </span>
      {over && (
        <button
          type="button"
          className="link"
          onClick={() => go(`/r/${code}`)}
          aria-label={`${t("record")}: ${meeting.title}`}
        >
          {t("record")}
        </button>
      )}
      {!over && (
        <button type="button" className="quiet" onClick={() => go(`/m/${code}`)} aria-label={`${t("join")}: ${meeting.title}`}>
          {t("join")}
        </button>
      )}
    </li>
  );
}

function when(date: Date, language: string): string {
  return date.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

function codeOf(meeting: Meeting): string {
  return meeting.name.replace("meetings/", "");
}
