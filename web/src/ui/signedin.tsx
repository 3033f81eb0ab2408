/** Where an identity provider sends people back to: `/signed-in/{id}?code=…&state=…`. */
import { useEffect, useState } from "react";
import { session } from "../api/client";
import { Complaint } from "../api/errors";
import { takeAnswer } from "../api/provider";
import { useI18n } from "../i18n";
import { goInstead } from "./navigation";
import { Problem } from "./parts";

export function SignedInPage({ id }: { id: string }) {
  const { t, explain } = useI18n();
  /** Taken once, since it is good once. */
  const [answer] = useState(() => takeAnswer(sessionStorage, id, new URLSearchParams(location.search)));
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    if (answer === undefined) return;
    const { name, code, state, goal } = answer;
    session.complete(name, code, state).then(() => goInstead(goal), setFailure);
  }, [answer]);
  const shown = answer === undefined ? new Complaint(t("signInNotBegun")) : failure;
  return (
    <section className="card narrow">
      <h1>{t("signIn")}</h1>
      {shown === undefined ? <p role="status">{t("signingIn")}</p> : <Problem text={explain(shown)} />}
      {shown !== undefined && (
        <button type="button" className="link" onClick={() => goInstead("/")}>
          {t("toSignIn")}
        </button>
      )}
    </section>
  );
}
