/** Sign in, or make an account. */
import { useState } from "react";
import { session } from "../api/client";
import { useI18n } from "../i18n";
import { Field, Form } from "./parts";

const USERNAME = "[A-Za-z0-9][A-Za-z0-9_.\\-]{2,31}";

export function SignInPage() {
  const { t } = useI18n();
  const [isNew, setNew] = useState(false);
  const signIn = ({ username = "", password = "" }: Record<string, string>) => session.login(username, password);
  const signUp = ({ username = "", email = "", password = "", display_name = "" }: Record<string, string>) =>
    session.register(username, email, password, display_name);
  return (
    <section className="card narrow">
      <h1>{isNew ? t("signUp") : t("signIn")}</h1>
      <p className="faint">{t("tagline")}</p>
      {isNew ? (
        <Form key="new" submit={signUp} action={t("signUp")}>
          <Field label={t("username")} name="username" autoComplete="username" hint={t("usernameHint")} required pattern={USERNAME} />
          <Field label={t("email")} name="email" type="email" autoComplete="email" required />
          <Field label={t("displayName")} name="display_name" autoComplete="name" maxLength={64} />
          <Field
            label={t("password")}
            name="password"
            type="password"
            autoComplete="new-password"
            hint={t("passwordHint")}
            required
            minLength={8}
            maxLength={128}
          />
        </Form>
      ) : (
        <Form key="known" submit={signIn} action={t("signIn")}>
          <Field label={t("usernameOrEmail")} name="username" autoComplete="username" required />
          <Field label={t("password")} name="password" type="password" autoComplete="current-password" required />
        </Form>
      )}
      <p className="faint">
        {isNew ? t("haveAccount") : t("noAccount")}{" "}
        <button type="button" className="link" onClick={() => setNew(!isNew)}>
          {isNew ? t("signIn") : t("signUp")}
        </button>
      </p>
    </section>
  );
}
