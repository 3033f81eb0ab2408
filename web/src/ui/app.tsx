/** Which page is shown: by the address, and by whether somebody is signed in. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { restore, session } from "../api/client";
import { parseCode } from "../call/code";
import { Role, type User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { AccountPage } from "./account";
import { AdminPage } from "./admin";
import { CalendarPage } from "./calendar";
import { HomePage } from "./home";
import { ForgotPasswordPage, ResetPasswordPage, VerifyEmailPage } from "./mailed";
import { MeetingPage } from "./meeting";
import { go, usePath } from "./navigation";
import { Problem } from "./parts";
import { RecordPage } from "./record";
import { ScheduledPage } from "./scheduled";
import { EditPage, SchedulePage } from "./scheduling";
import { SignedInPage } from "./signedin";
import { SignInPage } from "./signin";

const SIGNED_IN = "/signed-in/";
/** The end of the address of the page that changes a meeting. */
const EDIT = /\/edit$/;

/** Pages for everybody, signed in or not. */
function openPage(path: string) {
  if (path === "/forgot-password") return <ForgotPasswordPage />;
  if (path === "/reset-password") return <ResetPasswordPage />;
  if (path === "/verify-email") return <VerifyEmailPage />;
  if (path.startsWith(SIGNED_IN)) return <SignedInPage id={path.slice(SIGNED_IN.length)} />;
  return undefined;
}

export function App() {
  const { t, explain, toggle } = useI18n();
  const path = usePath();
  const user = useSyncExternalStore(session.subscribe, session.user);
  const [restoring, setRestoring] = useState<Promise<void>>();
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    if (restoring !== undefined) return;
    const restored = restore().then(
      () => setFailure(null),
      (error: unknown) => setFailure(error),
    );
    setRestoring(restored);
  }, [restoring]);

  const code = path.startsWith("/m/") || path.startsWith("/r/") ? parseCode(path) : undefined;
  const signOut = () => session.logout().catch(() => undefined);
  const page = () => {
    const open = openPage(path);
    if (open !== undefined) return open;
    if (failure === undefined) return <p className="center">{t("loading")}</p>;
    if (user === undefined && failure !== null)
      return (
        <section className="card narrow">
          <Problem text={explain(failure)} />
          <button type="button" className="primary" onClick={() => setRestoring(undefined)}>
            {t("tryAgain")}
          </button>
        </section>
      );
    if (user === undefined) return <SignInPage meeting={path.startsWith("/m/") && code !== undefined ? `meetings/${code}` : undefined} />;
    if (code !== undefined && path.startsWith("/r/")) return <RecordPage key={code} code={code} user={user} />;
    if (code !== undefined) return <MeetingPage key={code} code={code} user={user} />;
    if (user.role === Role.GUEST) return <p className="center">{t("error.NOT_FOR_GUESTS")}</p>;
    const about = parseCode(path.replace(EDIT, ""));
    if (about !== undefined && path.startsWith("/s/"))
      return EDIT.test(path) ? <EditPage key={about} code={about} user={user} /> : <ScheduledPage key={about} code={about} user={user} />;
    if (path === "/schedule") return <SchedulePage />;
    if (path === "/calendar") return <CalendarPage />;
    if (path === "/account") return <AccountPage user={user} />;
    if (path === "/admin" || path === "/admin/audit") return <AdminPage user={user} path={path} />;
    if (path !== "/") return <p className="center">{t("pageNotFound")}</p>;
    return <HomePage user={user} />;
  };
  return (
    <>
      <header>
        <a
          className="brand"
          href="/"
          onClick={(event) => {
            event.preventDefault();
            go("/");
          }}
        >
          <img src="/icon.svg" alt="" width="28" height="28" />
          {t("appName")}
        </a>
        <nav>
          <button type="button" className="quiet" onClick={toggle}>
            {t("language")}
          </button>
          {user !== undefined && <OwnPages user={user} signOut={signOut} />}
        </nav>
      </header>
      <main>{page()}</main>
    </>
  );
}

/** The ways to one's own pages, and out; none of them is there during a call. */
function OwnPages({ user, signOut }: { user: User; signOut: () => Promise<void> }) {
  const { t } = useI18n();
  const pages = [
    { path: "/calendar", text: t("calendar"), isFor: user.role !== Role.GUEST },
    { path: "/account", text: t("account"), isFor: user.role !== Role.GUEST },
    { path: "/admin", text: t("administration"), isFor: user.role === Role.ADMIN },
  ];
  return (
    <>
      {pages
        .filter(({ isFor }) => isFor)
        .map(({ path, text }) => (
          <button key={path} type="button" className="quiet outside-calls" onClick={() => go(path)}>
            {text}
          </button>
        ))}
      <button type="button" className="quiet outside-calls" onClick={signOut}>
        {t("signOut")}
      </button>
    </>
  );
}
