/** One's own account: who one is, how one signs in, where one is signed in, and how to leave. */
import { useState } from "react";
import { accounts, credentials, newRequestId, session, users } from "../api/client";
import { reasonOf } from "../api/errors";
import type { User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { AvatarCard } from "./avatar";
import { save } from "./save";
import { ApiKeysCard } from "./keys";
import { go } from "./navigation";
import { Confirm, Field, Form, NewPassword, Problem } from "./parts";
import { SecondFactorCard } from "./secondfactor";
import { SessionsCard } from "./sessions";
import { WebhooksCard } from "./webhooks";

const ME = "users/me";
const EXPORT_TIMEOUT_MS = 10 * 60_000;

export function AccountPage({ user }: { user: User }) {
  const { t } = useI18n();
  return (
    <div className="account">
      <h1>{t("account")}</h1>
      <ProfileCard user={user} />
      <AvatarCard />
      <PasswordCard />
      <SecondFactorCard />
      <SessionsCard />
      <ApiKeysCard user={user} />
      <WebhooksCard />
      <ExportCard user={user} />
      <DeleteCard />
    </div>
  );
}

function ProfileCard({ user }: { user: User }) {
  const { t, explain } = useI18n();
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState("");
  const change = async ({ display_name = "", email = "" }: Record<string, string>) => {
    setSaid("");
    try {
      const changed = { name: user.name, etag: user.etag, displayName: display_name, email };
      const updateMask = { paths: ["display_name", "email"] };
      session.setUser(await users.updateUser({ user: changed, updateMask, requestId: newRequestId() }));
    } catch (error) {
      if (reasonOf(error) === "ETAG_MISMATCH") session.setUser(await users.getUser({ name: ME }));
      throw error;
    }
    setSaid(t("saved"));
  };
  const verify = async () => {
    setProblem("");
    try {
      await credentials.requestEmailVerification({ name: ME, requestId: newRequestId() });
      setSaid(t("verifySent", { email: user.email }));
    } catch (error) {
      setProblem(explain(error));
    }
  };
  return (
    <section className="card" aria-label={t("profile")}>
      <h2>{t("profile")}</h2>
      <p className="faint">{user.username}</p>
      <Form key={user.etag} submit={change} action={t("save")}>
        <Field label={t("displayName")} name="display_name" value={user.displayName} autoComplete="name" required maxLength={64} />
        <Field label={t("email")} name="email" type="email" value={user.email} autoComplete="email" required maxLength={254} />
      </Form>
      <p>
        <button type="button" className="link" onClick={verify}>
          {t("verifySend")}
        </button>
      </p>
      <Problem text={problem} />
      <p role="status">{said}</p>
    </section>
  );
}

function PasswordCard() {
  const { t } = useI18n();
  const [times, setTimes] = useState(0);
  const change = async ({ current = "", password = "" }: Record<string, string>) => {
    await credentials.changePassword({ name: ME, currentPassword: current, newPassword: password, requestId: newRequestId() });
    setTimes((before) => before + 1);
  };
  return (
    <section className="card" aria-label={t("changePassword")}>
      <h2>{t("changePassword")}</h2>
      <Form key={times} submit={change} action={t("changePassword")}>
        <Field label={t("currentPassword")} name="current" type="password" autoComplete="current-password" required maxLength={128} />
        <NewPassword label={t("newPassword")} name="password" />
      </Form>
      <p role="status">{times > 0 && t("passwordChanged")}</p>
    </section>
  );
}

function ExportCard({ user }: { user: User }) {
  const { t } = useI18n();
  const collect = async () => {
    const parts: BlobPart[] = [];
    for await (const { data } of accounts.exportAccount({ name: ME }, { timeoutMs: EXPORT_TIMEOUT_MS })) parts.push(data as BlobPart);
    save(new Blob(parts, { type: "application/zip" }), `parley-${user.username}.zip`);
  };
  return (
    <section className="card" aria-label={t("exportData")}>
      <h2>{t("exportData")}</h2>
      <p className="faint">{t("exportHint")}</p>
      <Form submit={collect} action={t("exportMake")} />
    </section>
  );
}

function DeleteCard() {
  const { t, explain } = useI18n();
  const [password, setPassword] = useState<string>();
  const [problem, setProblem] = useState("");
  const ask = ({ password: given = "" }: Record<string, string>) => {
    setPassword(given);
    return Promise.resolve();
  };
  const answered = async (sure: boolean) => {
    setPassword(undefined);
    setProblem("");
    if (!sure || password === undefined) return;
    try {
      await accounts.deleteAccount({ name: ME, password });
      session.forget();
      go("/");
    } catch (error) {
      setProblem(explain(error));
    }
  };
  return (
    <section className="card" aria-label={t("deleteAccount")}>
      <h2>{t("deleteAccount")}</h2>
      <p className="faint">{t("deleteHint")}</p>
      <Form submit={ask} action={t("deleteAccount")} danger>
        <Field label={t("password")} name="password" type="password" autoComplete="current-password" required maxLength={128} />
      </Form>
      <Problem text={problem} />
      {password !== undefined && <Confirm text={t("deleteSure")} action={t("deleteAccount")} done={(sure) => void answered(sure)} />}
    </section>
  );
}
