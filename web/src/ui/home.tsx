/** Start a meeting, join one, see what is coming up, or go back to one. */
import { useState } from "react";
import { meetings, newRequestId, settings } from "../api/client";
import { Complaint } from "../api/errors";
import { parseCode } from "../call/code";
import { canEncrypt } from "../call/e2ee/encryption";
import { newSecret, pathTo, secretOf } from "../call/e2ee/secret";
import type { Meeting } from "../gen/parley/meeting/v1/meeting_pb";
import type { User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { ComingUp } from "./comingup";
import { MyMeetings } from "./mymeetings";
import { go } from "./navigation";
import { Checkbox, Field, Form } from "./parts";

export function HomePage({ user }: { user: User }) {
  const { t } = useI18n();
  /** How many times a meeting was changed on this page. */
  const [changes, setChanges] = useState(0);
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
      <ComingUp key={changes} />
      <MyMeetings user={user} changed={() => setChanges((before) => before + 1)} />
    </div>
  );
}

function codeOf(meeting: Meeting): string {
  return meeting.name.replace("meetings/", "");
}
