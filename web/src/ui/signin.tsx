/** Sign in: by password, with a code where the account asks for one, by a provider, or as a meeting's guest. */
import { type ReactNode, useEffect, useState } from "react";
import { session, signIns } from "../api/client";
import { reasonOf } from "../api/errors";
import { keepBegun } from "../api/provider";
import type { IdentityProvider } from "../gen/parley/user/v1/sign_in_pb";
import { useI18n } from "../i18n";
import { go, here } from "./navigation";
import { Field, Form, NewPassword, Problem } from "./parts";

const USERNAME = "[A-Za-z0-9][A-Za-z0-9_.\\-]{2,31}";

/** `meeting`, `meetings/{code}`, is where somebody wants to go, who may be its guest. */
export function SignInPage({ meeting }: { meeting?: string | undefined }) {
  const { t } = useI18n();
  const [isNew, setNew] = useState(false);
  /** What was right, but not enough. */
  const [known, setKnown] = useState<{ username: string; password: string }>();
  const [mustVerify, setMustVerify] = useState(false);
  const signIn = async ({ username = "", password = "" }: Record<string, string>) => {
    try {
      await session.login(username, password);
    } catch (error) {
      if (reasonOf(error) !== "CODE_REQUIRED") throw error;
      setKnown({ username, password });
    }
  };
  const signUp = async ({ username = "", email = "", password = "", display_name = "" }: Record<string, string>) => {
    if (await session.register(username, email, password, display_name)) return;
    setMustVerify(true);
    setNew(false);
  };
  if (known !== undefined) return <CodePage {...known} back={() => setKnown(undefined)} />;
  return (
    <div className="narrow stacked">
      <section className="card">
        <h1>{isNew ? t("signUp") : t("signIn")}</h1>
        <p className="faint">{t("tagline")}</p>
        {mustVerify && <p role="status">{t("verifyFirst")}</p>}
        {isNew ? (
          <Form key="new" submit={signUp} action={t("signUp")}>
            <Field label={t("username")} name="username" autoComplete="username" hint={t("usernameHint")} required pattern={USERNAME} />
            <Field label={t("email")} name="email" type="email" autoComplete="email" required />
            <Field label={t("displayName")} name="display_name" autoComplete="name" maxLength={64} />
            <NewPassword label={t("password")} name="password" />
          </Form>
        ) : (
          <Form key="known" submit={signIn} action={t("signIn")}>
            <Field label={t("usernameOrEmail")} name="username" autoComplete="username" required />
            <Field label={t("password")} name="password" type="password" autoComplete="current-password" required />
          </Form>
        )}
        {!isNew && (
          <p>
            <button type="button" className="link" onClick={() => go("/forgot-password")}>
              {t("forgotPassword")}
            </button>
          </p>
        )}
        <Providers />
        <p className="faint">
          {isNew ? t("haveAccount") : t("noAccount")}{" "}
          <button type="button" className="link" onClick={() => setNew(!isNew)}>
            {isNew ? t("signIn") : t("signUp")}
          </button>
        </p>
      </section>
      {meeting !== undefined && <GuestCard meeting={meeting} />}
    </div>
  );
}

function CodePage({ username, password, back }: { username: string; password: string; back: () => void }) {
  const { t } = useI18n();
  const signIn = ({ code = "" }: Record<string, string>) => session.login(username, password, code.trim());
  return (
    <section className="card narrow">
      <h1>{t("codeTitle")}</h1>
      <p className="faint">{t("codeAsked")}</p>
      <Form submit={signIn} action={t("signIn")}>
        <Field label={t("codeOrRecovery")} name="code" autoComplete="one-time-code" required maxLength={32} autoFocus />
      </Form>
      <button type="button" className="link" onClick={back}>
        {t("back")}
      </button>
    </section>
  );
}

/** A button for each provider that the operator has set up; nothing where there is none, or while they can't be asked for. */
function Providers() {
  const { t, explain } = useI18n();
  const [providers, setProviders] = useState<readonly IdentityProvider[]>([]);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    signIns.listIdentityProviders({}).then(
      ({ identityProviders }) => setProviders(identityProviders),
      (error: unknown) => console.warn(error),
    );
  }, []);
  const begin = async (name: string) => {
    try {
      const { authorizationUri, state } = await signIns.beginSignIn({ name });
      keepBegun(sessionStorage, { name, state, goal: here() });
      location.assign(authorizationUri);
    } catch (error) {
      setProblem(explain(error));
    }
  };
  const button = ({ name, displayName }: IdentityProvider): ReactNode => (
    <button key={name} type="button" className="quiet" onClick={() => begin(name)}>
      {t("continueWith", { provider: displayName })}
    </button>
  );
  return (
    <div className="providers">
      {providers.map(button)}
      <Problem text={problem} />
    </div>
  );
}

function GuestCard({ meeting }: { meeting: string }) {
  const { t } = useI18n();
  const enter = ({ guest_name = "" }: Record<string, string>) => session.beGuest(meeting, guest_name.trim());
  return (
    <section className="card">
      <h2>{t("guestTitle")}</h2>
      <p className="faint">{t("guestHint")}</p>
      <Form submit={enter} action={t("guestJoin")}>
        <Field label={t("displayName")} name="guest_name" autoComplete="name" required maxLength={64} pattern=".*\S.*" />
      </Form>
    </section>
  );
}
