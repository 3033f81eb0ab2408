/** Sign in, or make an account. */
import { useState } from "react";
import { session } from "../api/client";
import { useI18n } from "../i18n";
import { Field, Form, Problem } from "./parts";

export function SignInPage({ done, problem }: { done: () => void; problem: string }) {
  const { t } = useI18n();
  const [isNew, setNew] = useState(false);
  const signIn = async (values: Record<string, string>) => {
    await session.login(values.username ?? "", values.password ?? "");
    done();
  };
  const signUp = async (values: Record<string, string>) => {
    await session.register(
      values.username ?? "",
      values.email ?? "",
      values.password ?? "",
      values.display_name ?? "",
    );
    done();
  };
  return (
    <section className="card narrow">
      <h1>{isNew ? t("signUp") : t("signIn")}</h1>
      <p className="faint">{t("tagline")}</p>
      <Problem text={problem} />
      {isNew ? (
        <Form key="new" submit={signUp} action={t("signUp")}>
          <Field label={t("username")} name="username" autoComplete="username" required minLength={3} maxLength={32} />
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
