/** The pages behind links that come by mail, and the one that asks for such a link. Tokens are after the `#`. */
import { type ReactNode, useEffect, useState } from "react";
import { mailed, newRequestId } from "../api/client";
import { useI18n } from "../i18n";
import { go, goInstead, useFragment } from "./navigation";
import { Field, Form, NewPassword, Problem } from "./parts";

export function ForgotPasswordPage() {
  const { t } = useI18n();
  const [sent, setSent] = useState(false);
  const send = async ({ email = "" }: Record<string, string>) => {
    await mailed.requestPasswordReset({ email, requestId: newRequestId() });
    setSent(true);
  };
  return (
    <Letter title={t("forgotTitle")}>
      {sent ? (
        <p role="status">{t("forgotSent")}</p>
      ) : (
        <>
          <p className="faint">{t("forgotHint")}</p>
          <Form submit={send} action={t("forgotSend")}>
            <Field label={t("email")} name="email" type="email" autoComplete="email" required />
          </Form>
        </>
      )}
    </Letter>
  );
}

export function ResetPasswordPage() {
  const { t } = useI18n();
  const token = useFragment().slice(1);
  const [done, setDone] = useState(false);
  const reset = async ({ password = "" }: Record<string, string>) => {
    await mailed.resetPassword({ token, newPassword: password, requestId: newRequestId() });
    setDone(true);
    goInstead("/reset-password");
  };
  return (
    <Letter title={t("forgotTitle")}>
      {done && <p role="status">{t("resetDone")}</p>}
      {!done && token === "" && <Problem text={t("linkIncomplete")} />}
      {!done && token !== "" && (
        <Form submit={reset} action={t("resetSet")}>
          <NewPassword label={t("newPassword")} name="password" />
        </Form>
      )}
    </Letter>
  );
}

export function VerifyEmailPage() {
  const { t, explain } = useI18n();
  const [token] = useState(useFragment().slice(1));
  const [done, setDone] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    if (token === "") return;
    goInstead("/verify-email");
    mailed.verifyEmail({ token, requestId: newRequestId() }).then(() => setDone(true), setFailure);
  }, [token]);
  const problem = token === "" ? t("linkIncomplete") : failure === undefined ? "" : explain(failure);
  return (
    <Letter title={t("verifyTitle")}>
      <Problem text={problem} />
      {problem === "" && <p role="status">{done ? t("verifyDone") : t("verifyWorking")}</p>}
    </Letter>
  );
}

function Letter({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useI18n();
  return (
    <section className="card narrow">
      <h1>{title}</h1>
      {children}
      <button type="button" className="link" onClick={() => go("/")}>
        {t("toSignIn")}
      </button>
    </section>
  );
}
