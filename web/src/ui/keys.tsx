/** API keys: made, shown once, revoked. */
import { useState } from "react";
import { keyOf, SCOPE, SCOPES } from "../account/keys";
import { apiKeys, newRequestId } from "../api/client";
import { Complaint } from "../api/errors";
import { type ApiKey, ApiKeyScope } from "../gen/parley/user/v1/api_key_pb";
import { Role, type User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { Listed, usePages } from "./pages";
import { Checkbox, Confirm, Field, Form, Problem } from "./parts";
import { Secret } from "./secrets";
import { timeText } from "./times";

const ME = "users/me";

async function ask(pageToken: string) {
  const { apiKeys: items, nextPageToken } = await apiKeys.listApiKeys({ parent: ME, pageSize: 20, pageToken });
  return { items, nextPageToken };
}

export function ApiKeysCard({ user }: { user: User }) {
  const { t, explain } = useI18n();
  const pages = usePages<ApiKey>(ask);
  const [made, setMade] = useState("");
  const [doomed, setDoomed] = useState<ApiKey>();
  const [problem, setProblem] = useState("");
  const scopes = SCOPES.filter(({ scope }) => scope !== ApiKeyScope.ADMIN || user.role === Role.ADMIN);
  const make = async (values: Record<string, string>) => {
    const apiKey = keyOf(values, Date.now());
    if (apiKey.scopes.length === 0) throw new Complaint(t("apiKeyNoScope"));
    setMade((await apiKeys.createApiKey({ parent: ME, apiKey, requestId: newRequestId() })).secret);
    pages.reload();
  };
  const answered = async (sure: boolean) => {
    setDoomed(undefined);
    setProblem("");
    if (!sure || doomed === undefined) return;
    try {
      await apiKeys.revokeApiKey({ name: doomed.name });
    } catch (error) {
      setProblem(explain(error));
    }
    pages.reload();
  };
  return (
    <section className="card" aria-label={t("apiKeys")}>
      <h2>{t("apiKeys")}</h2>
      <p className="faint">{t("apiKeysHint")}</p>
      <Listed pages={pages} none={t("apiKeysNone")}>
        {(items) => (
          <ul className="listed">
            {items.map((each) => (
              <Row key={each.name} apiKey={each} revoke={() => setDoomed(each)} />
            ))}
          </ul>
        )}
      </Listed>
      <Problem text={problem} />
      {made !== "" && (
        <>
          <p role="status">{t("apiKeyOnce")}</p>
          <Secret label={t("apiKeyOnce")} text={made} />
        </>
      )}
      <Form key={made} submit={make} action={t("apiKeyMake")}>
        <Field label={t("apiKeyName")} name="name" required maxLength={64} pattern=".*\S.*" />
        <fieldset>
          <legend>{t("apiKeyScopes")}</legend>
          {scopes.map(({ scope, text }) => (
            <Checkbox key={scope} name={`${SCOPE}${scope}`} label={t(text)} />
          ))}
        </fieldset>
        <Field label={t("apiKeyDays")} name="days" type="number" hint={t("apiKeyDaysHint")} min={1} max={3650} />
      </Form>
      {doomed !== undefined && (
        <Confirm
          text={t("apiKeyRevokeSure", { name: doomed.displayName })}
          action={t("apiKeyRevoke")}
          done={(sure) => void answered(sure)}
        />
      )}
    </section>
  );
}

function Row({ apiKey, revoke }: { apiKey: ApiKey; revoke: () => void }) {
  const { t, language } = useI18n();
  const scopes = SCOPES.filter(({ scope }) => apiKey.scopes.includes(scope)).map(({ text }) => t(text));
  const times = [
    t("apiKeyCreated", { time: timeText(apiKey.createTime, language) }),
    apiKey.lastUseTime === undefined ? t("apiKeyUnused") : t("apiKeyUsed", { time: timeText(apiKey.lastUseTime, language) }),
    ...(apiKey.expireTime === undefined ? [] : [t("apiKeyExpires", { time: timeText(apiKey.expireTime, language) })]),
  ];
  return (
    <li>
      <div>
        <div>{apiKey.displayName}</div>
        <div className="faint">{[...scopes, ...times].join(" · ")}</div>
      </div>
      <button type="button" className="quiet" aria-label={t("apiKeyRevokeOf", { name: apiKey.displayName })} onClick={revoke}>
        {t("apiKeyRevoke")}
      </button>
    </li>
  );
}
