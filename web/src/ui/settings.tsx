/** Settings: one's own sound, and for hosts what the server does with what is said and shown in a meeting. */
import { useState } from "react";
import { settings as service } from "../api/client";
import { reasonOf } from "../api/errors";
import { PATHS, retentionDays, settingsOf, TRANSLATE } from "../call/settings";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import { useI18n } from "../i18n";
import { languageName } from "./captions";
import type { Device } from "./devices";
import { Checkbox, Dialog, Field, Form } from "./parts";
import { Policies } from "./policy";

/** What people most often speak; the server says which of them it can't recognise. */
const LANGUAGES = ["ar", "de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "uk", "vi", "zh"];
interface SettingsProps {
  audio: Device;
  /** Given to those who may change them. */
  meeting: Settings | undefined;
  changed: (settings: Settings) => void;
  close: () => void;
}

export function SettingsDialog({ audio, meeting, changed, close }: SettingsProps) {
  const { t } = useI18n();
  return (
    <Dialog label={t("settings")} close={close}>
      <div className="settings">
        <h2 className="titled">
          {t("settings")}
          <button type="button" className="quiet" onClick={close}>
            {t("close")}
          </button>
        </h2>
        <h3>{t("yourSound")}</h3>
        <Noise audio={audio} />
        {meeting !== undefined && (
          <>
            <h3>{t("meetingSettings")}</h3>
            <Policies settings={meeting} changed={changed} />
            <p className="faint">{t("meetingSettingsHint")}</p>
            <MeetingSettings settings={meeting} changed={changed} />
          </>
        )}
      </div>
    </Dialog>
  );
}

/** Whether noise is taken out of one's own sound; says so where it can't be. */
export function Noise({ audio }: { audio: Device }) {
  const { t } = useI18n();
  return (
    <Checkbox
      name="noise"
      label={t("noise")}
      hint={t(audio.suppression === "unsupported" ? "noiseUnsupported" : "noiseHint")}
      checked={audio.suppression !== "off"}
      onChange={(event) => audio.setSuppressed(event.target.checked)}
    />
  );
}

function MeetingSettings({ settings, changed }: { settings: Settings; changed: (settings: Settings) => void }) {
  const { t, explain, language } = useI18n();
  const [captions, setCaptions] = useState(settings.captions);
  const [saved, setSaved] = useState(false);
  /** Why faces can't be read, once the server has said so. */
  const [refusal, setRefusal] = useState("");
  const save = async (values: Record<string, string>) => {
    setSaved(false);
    try {
      const told = await service.updateSettings({ settings: settingsOf(settings, values), updateMask: { paths: PATHS } });
      changed(told);
      setSaved(true);
    } catch (error) {
      if (reasonOf(error) === "EMOTIONS_NOT_ALLOWED") setRefusal(explain(error));
      if (reasonOf(error) === "ETAG_MISMATCH") changed(await service.getSettings({ name: settings.name }));
      throw error;
    }
  };
  const isEncrypted = settings.endToEndEncrypted;
  if (isEncrypted) return <p>{t("error.MEETING_ENCRYPTED")}</p>;
  return (
    <Form submit={save} action={t("save")}>
      <Checkbox name="guests" label={t("setGuests")} hint={t("setGuestsHint")} defaultChecked={settings.guestsAllowed} />
      <Checkbox
        name="captions"
        label={t("setCaptions")}
        hint={t("setCaptionsHint")}
        checked={captions}
        onChange={(event) => setCaptions(event.target.checked)}
      />
      <Checkbox
        name="transcript"
        label={t("setTranscript")}
        hint={t("setTranscriptHint")}
        defaultChecked={settings.transcript}
        disabled={!captions}
      />
      <Field label={t("setRetention")} name="days" type="number" min={0} max={365} value={String(retentionDays(settings))} />
      <Checkbox
        name="summary"
        label={t("setSummary")}
        hint={t("setSummaryHint")}
        defaultChecked={settings.summary}
        disabled={!captions}
      />
      <Checkbox
        key={refusal}
        name="emotions"
        label={t("setEmotions")}
        hint={refusal === "" ? t("setEmotionsHint") : refusal}
        defaultChecked={settings.emotions && refusal === ""}
        disabled={refusal !== ""}
      />
      <label className="field">
        <span>{t("setLanguage")}</span>
        <select name="language" defaultValue={settings.languageCode}>
          <option value="">{t("setLanguageAny")}</option>
          {withOthers([settings.languageCode]).map((code) => (
            <option key={code} value={code}>
              {languageName(code, language)}
            </option>
          ))}
        </select>
      </label>
      <fieldset>
        <legend>{t("setTranslations")}</legend>
        {withOthers(settings.translationLanguageCodes).map((code) => (
          <Checkbox
            key={code}
            name={`${TRANSLATE}${code}`}
            label={languageName(code, language)}
            defaultChecked={settings.translationLanguageCodes.includes(code)}
          />
        ))}
      </fieldset>
      <label className="field">
        <span>{t("setVocabulary")}</span>
        <textarea name="vocabulary" rows={3} defaultValue={settings.vocabulary.join("\n")} />
        <small>{t("setVocabularyHint")}</small>
      </label>
      {saved && <p role="status">{t("saved")}</p>}
    </Form>
  );
}

function withOthers(codes: readonly string[]): string[] {
  return [...LANGUAGES, ...codes.filter((code) => code !== "" && !LANGUAGES.includes(code))];
}
