/** Administration: who has an account here, and what was done. */
import { useCallback, useState } from "react";
import { admin, newRequestId } from "../api/client";
import { AccountState, type AuditEvent, type UserAccount } from "../gen/parley/user/v1/admin_pb";
import { Role, type User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { go } from "./navigation";
import { Listed, usePages } from "./pages";
import { Dialog, Field, Form, Problem } from "./parts";
import { timeText } from "./times";

const TABS = [
  { path: "/admin", text: "users" },
  { path: "/admin/audit", text: "auditLog" },
] as const;
const ROLES = [
  { role: Role.USER, text: "role.USER" },
  { role: Role.MODERATOR, text: "role.MODERATOR" },
  { role: Role.ADMIN, text: "role.ADMIN" },
] as const;
const STATES = [
  { state: AccountState.ACTIVE, text: "state.ACTIVE" },
  { state: AccountState.BANNED, text: "state.BANNED" },
  { state: AccountState.UNVERIFIED, text: "state.UNVERIFIED" },
] as const;

export function AdminPage({ user, path }: { user: User; path: string }) {
  const { t } = useI18n();
  if (user.role !== Role.ADMIN) return <p className="center">{t("adminOnly")}</p>;
  return (
    <div className="account wide">
      <h1>{t("administration")}</h1>
      <nav className="actions" aria-label={t("administration")}>
        {TABS.map((tab) => (
          <button
            key={tab.path}
            type="button"
            className="quiet"
            aria-current={tab.path === path ? "page" : undefined}
            onClick={() => go(tab.path)}
          >
            {t(tab.text)}
          </button>
        ))}
      </nav>
      {path === "/admin" ? <UsersCard me={user} /> : <AuditCard />}
    </div>
  );
}

function UsersCard({ me }: { me: User }) {
  const { t, explain } = useI18n();
  const [wanted, setWanted] = useState({ query: "", state: AccountState.UNSPECIFIED });
  const [doomed, setDoomed] = useState<UserAccount>();
  const [problem, setProblem] = useState("");
  const ask = useCallback(
    async (pageToken: string) => {
      const { accounts: items, nextPageToken } = await admin.listUsers({ ...wanted, pageSize: 20, pageToken });
      return { items, nextPageToken };
    },
    [wanted],
  );
  const pages = usePages<UserAccount>(ask);
  const find = ({ query = "", state = "" }: Record<string, string>) => {
    const chosen = STATES.find((each) => String(each.state) === state);
    setWanted({ query: query.trim(), state: chosen?.state ?? AccountState.UNSPECIFIED });
    return Promise.resolve();
  };
  const change = async (before: UserAccount, work: Promise<UserAccount>) => {
    setProblem("");
    try {
      pages.replace(before, await work);
    } catch (error) {
      setProblem(explain(error));
    }
  };
  return (
    <section className="card" aria-label={t("users")}>
      <Form submit={find} action={t("find")}>
        <Field label={t("findUsers")} name="query" type="search" maxLength={254} />
        <label className="field">
          <span>{t("state")}</span>
          <select name="state">
            <option value={AccountState.UNSPECIFIED}>{t("stateAny")}</option>
            {STATES.map(({ state, text }) => (
              <option key={state} value={state}>
                {t(text)}
              </option>
            ))}
          </select>
        </label>
      </Form>
      <Problem text={problem} />
      <Listed pages={pages} none={t("usersNone")}>
        {(items) => (
          <ul className="listed">
            {items.map((each) => (
              <AccountRow key={each.user?.name} account={each} isMe={each.user?.name === me.name} change={change} ban={setDoomed} />
            ))}
          </ul>
        )}
      </Listed>
      {doomed !== undefined && <BanDialog account={doomed} change={pages.replace} close={() => setDoomed(undefined)} />}
    </section>
  );
}

interface AccountRowProps {
  account: UserAccount;
  isMe: boolean;
  change: (before: UserAccount, work: Promise<UserAccount>) => Promise<void>;
  ban: (account: UserAccount) => void;
}

function AccountRow({ account, isMe, change, ban }: AccountRowProps) {
  const { t, language } = useI18n();
  const { name = "", username = "", displayName = "", email = "", role = Role.USER } = account.user ?? {};
  const isBanned = account.state === AccountState.BANNED;
  const state = STATES.find((each) => each.state === account.state);
  const about = [
    email,
    state === undefined ? "" : t(state.text),
    account.banReason === "" ? "" : t("bannedFor", { reason: account.banReason }),
    account.serviceAccount ? t("serviceAccount") : "",
    account.totpEnabled ? t("hasSecondFactor") : "",
    account.lastSignInTime === undefined ? "" : t("lastSignIn", { time: timeText(account.lastSignInTime, language) }),
  ];
  const setRole = async (chosen: string) => {
    const wanted = ROLES.find((each) => String(each.role) === chosen);
    if (wanted !== undefined) await change(account, admin.setUserRole({ name, role: wanted.role, requestId: newRequestId() }));
  };
  return (
    <li aria-label={username}>
      <div>
        <div>
          {displayName} <span className="faint">{username}</span> {isMe && `(${t("you")})`}
        </div>
        <div className="faint">{about.filter((each) => each !== "").join(" · ")}</div>
      </div>
      <div className="actions">
        <select aria-label={t("roleOf", { name: username })} value={role} onChange={(event) => void setRole(event.target.value)}>
          {ROLES.map((each) => (
            <option key={each.role} value={each.role}>
              {t(each.text)}
            </option>
          ))}
        </select>
        {isBanned && (
          <button
            type="button"
            className="quiet"
            aria-label={t("unbanOf", { name: username })}
            onClick={() => change(account, admin.unbanUser({ name, requestId: newRequestId() }))}
          >
            {t("unban")}
          </button>
        )}
        {!isBanned && !isMe && (
          <button type="button" className="quiet" aria-label={t("banOf", { name: username })} onClick={() => ban(account)}>
            {t("ban")}
          </button>
        )}
      </div>
    </li>
  );
}

interface BanProps {
  account: UserAccount;
  change: (before: UserAccount, now: UserAccount) => void;
  close: () => void;
}

function BanDialog({ account, change, close }: BanProps) {
  const { t } = useI18n();
  const text = t("banSure", { name: account.user?.username ?? "" });
  const ban = async ({ reason = "" }: Record<string, string>) => {
    change(account, await admin.banUser({ name: account.user?.name ?? "", reason, requestId: newRequestId() }));
    close();
  };
  return (
    <Dialog label={text} close={close}>
      <p>{text}</p>
      <Form submit={ban} action={t("ban")} danger>
        <Field label={t("banReason")} name="reason" hint={t("banReasonHint")} maxLength={500} />
      </Form>
      <button type="button" className="quiet" onClick={close}>
        {t("cancel")}
      </button>
    </Dialog>
  );
}

function AuditCard() {
  const { t, language } = useI18n();
  const [wanted, setWanted] = useState({ actor: "", action: "", subject: "" });
  const ask = useCallback(
    async (pageToken: string) => {
      const { auditEvents: items, nextPageToken } = await admin.listAuditEvents({ ...wanted, pageSize: 50, pageToken });
      return { items, nextPageToken };
    },
    [wanted],
  );
  const pages = usePages<AuditEvent>(ask);
  const find = ({ actor = "", action = "", subject = "" }: Record<string, string>) => {
    setWanted({ actor: actor.trim(), action: action.trim(), subject: subject.trim() });
    return Promise.resolve();
  };
  return (
    <section className="card" aria-label={t("auditLog")}>
      <Form submit={find} action={t("find")}>
        <Field label={t("auditAction")} name="action" placeholder={t("auditActionHint")} maxLength={65} />
        <Field label={t("auditActor")} name="actor" placeholder="users/…" maxLength={128} />
        <Field label={t("auditSubject")} name="subject" placeholder="users/…" maxLength={256} />
      </Form>
      <Listed pages={pages} none={t("auditNone")}>
        {(items) => (
          <div className="scrolling">
            <table className="log">
              <thead>
                <tr>
                  {(["auditTime", "auditActor", "auditAction", "auditSubject", "auditDetails"] as const).map((head) => (
                    <th key={head} scope="col">
                      {t(head)}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {items.map((event) => (
                  <tr key={event.name}>
                    <td>{timeText(event.time, language)}</td>
                    <td>{event.actor}</td>
                    <td>{event.action}</td>
                    <td>{event.subject}</td>
                    <td>{detailsText(event)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Listed>
    </section>
  );
}

function detailsText({ details }: AuditEvent): string {
  return Object.entries(details)
    .map(([key, value]) => `${key}: ${value}`)
    .join(", ");
}
