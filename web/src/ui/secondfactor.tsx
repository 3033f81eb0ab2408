/** Two-factor sign-in (RFC 6238): set up, turned off, and its recovery codes. The password is asked first, and kept while the card is open. */
import { useState } from "react";
import { credentials, newRequestId } from "../api/client";
import { reasonOf } from "../api/errors";
import { useI18n } from "../i18n";
import { Field, Form, takesFocus } from "./parts";
import { QrCode } from "./qrcode";
import { Secret } from "./secrets";

const NAME = "users/me";
const CODE = { pattern: "[0-9]{6}", maxLength: 6, autoComplete: "one-time-code", required: true };

type Stage =
  | { readonly at: "locked"; readonly isOff?: boolean }
  | { readonly at: "proving"; readonly secret: string; readonly uri: string }
  | { readonly at: "on"; readonly password: string }
  | { readonly at: "codes"; readonly codes: readonly string[] };

export function SecondFactorCard() {
  const { t } = useI18n();
  const [stage, setStage] = useState<Stage>({ at: "locked" });
  const codes = (recoveryCodes: readonly string[]) => setStage({ at: "codes", codes: recoveryCodes });
  return (
    <section className="card" aria-label={t("secondFactor")}>
      <h2>{t("secondFactor")}</h2>
      {stage.at === "locked" && <Locked isOff={stage.isOff === true} open={setStage} />}
      {stage.at === "proving" && <Proving secret={stage.secret} uri={stage.uri} done={codes} />}
      {stage.at === "on" && <On password={stage.password} done={codes} off={() => setStage({ at: "locked", isOff: true })} />}
      {stage.at === "codes" && <Codes codes={stage.codes} done={() => setStage({ at: "locked" })} />}
    </section>
  );
}

function Locked({ isOff, open }: { isOff: boolean; open: (stage: Stage) => void }) {
  const { t } = useI18n();
  const look = async ({ password = "" }: Record<string, string>) => {
    try {
      open({ at: "proving", ...(await credentials.beginTotp({ name: NAME, password, requestId: newRequestId() })) });
    } catch (error) {
      if (reasonOf(error) !== "TOTP_ENABLED") throw error;
      open({ at: "on", password });
    }
  };
  return (
    <>
      <p className="faint">{t("secondFactorHint")}</p>
      <p role="status">{isOff && t("secondFactorIsOff")}</p>
      <Form submit={look} action={t("secondFactorLook")}>
        <Field label={t("password")} name="password" type="password" autoComplete="current-password" required maxLength={128} />
      </Form>
    </>
  );
}

function Proving({ secret, uri, done }: { secret: string; uri: string; done: (codes: readonly string[]) => void }) {
  const { t } = useI18n();
  const prove = async ({ code = "" }: Record<string, string>) => {
    done((await credentials.enableTotp({ name: NAME, code, requestId: newRequestId() })).recoveryCodes);
  };
  return (
    <>
      <p ref={takesFocus} tabIndex={-1}>
        {t("secondFactorScan")}
      </p>
      <QrCode label={t("secondFactorCode")} text={uri} />
      <Secret label={t("secondFactorSecret")} text={secret} />
      <p>
        <a href={uri}>{t("secondFactorOpen")}</a>
      </p>
      <Form submit={prove} action={t("secondFactorTurnOn")}>
        <Field label={t("oneTimeCode")} name="code" hint={t("oneTimeCodeHint")} {...CODE} />
      </Form>
    </>
  );
}

function On({ password, done, off }: { password: string; done: (codes: readonly string[]) => void; off: () => void }) {
  const { t } = useI18n();
  const replace = async ({ code = "" }: Record<string, string>) => {
    const request = { name: NAME, password, code, requestId: newRequestId() };
    done((await credentials.replaceRecoveryCodes(request)).recoveryCodes);
  };
  const turnOff = async ({ code = "" }: Record<string, string>) => {
    await credentials.disableTotp({ name: NAME, password, code: code.trim(), requestId: newRequestId() });
    off();
  };
  return (
    <>
      <p ref={takesFocus} tabIndex={-1}>
        {t("secondFactorIsOn")}
      </p>
      <h3>{t("recoveryCodesNew")}</h3>
      <p className="faint">{t("recoveryCodesNewHint")}</p>
      <Form submit={replace} action={t("recoveryCodesNew")}>
        <Field label={t("oneTimeCode")} name="code" hint={t("oneTimeCodeHint")} {...CODE} />
      </Form>
      <h3>{t("secondFactorTurnOff")}</h3>
      <Form submit={turnOff} action={t("secondFactorTurnOff")}>
        <Field label={t("codeOrRecovery")} name="code" autoComplete="one-time-code" required minLength={6} maxLength={32} />
      </Form>
    </>
  );
}

function Codes({ codes, done }: { codes: readonly string[]; done: () => void }) {
  const { t } = useI18n();
  return (
    <>
      <p ref={takesFocus} tabIndex={-1}>
        {t("secondFactorIsOn")}
      </p>
      <h3>{t("recoveryCodes")}</h3>
      <p>{t("recoveryCodesOnce")}</p>
      <Secret label={t("recoveryCodes")} text={codes.join("\n")} file="parley-recovery-codes.txt" />
      <div className="actions">
        <button type="button" className="primary" onClick={done}>
          {t("haveKept")}
        </button>
      </div>
    </>
  );
}
