/** Which page is shown: by the address, and by whether somebody is signed in. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { restore, session } from "../api/client";
import { parseCode } from "../call/code";
import { useI18n } from "../i18n";
import { HomePage } from "./home";
import { MeetingPage } from "./meeting";
import { go, usePath } from "./navigation";
import { Problem } from "./parts";
import { RecordPage } from "./record";
import { SignInPage } from "./signin";

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
    if (user === undefined) return <SignInPage />;
    if (code !== undefined && path.startsWith("/r/")) return <RecordPage key={code} code={code} user={user} />;
    if (code !== undefined) return <MeetingPage key={code} code={code} user={user} />;
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
          {user !== undefined && (
            <button type="button" className="quiet sign-out" onClick={signOut}>
              {t("signOut")}
            </button>
          )}
        </nav>
      </header>
      <main>{page()}</main>
    </>
  );
}
