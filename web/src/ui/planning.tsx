/** The fields of a form that says when a meeting is, how it recurs, and who comes in. */
import { useCallback, useEffect, useRef, useState } from "react";
import type { Meeting } from "../gen/parley/meeting/v1/meeting_pb";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import { useI18n } from "../i18n";
import { firstSpan, isOver, type Plan, planIn } from "../schedule/plan";
import { ENDS, REPEATS, type Recurrence, repeatText, WEEKDAYS } from "../schedule/recurrence";
import { spanText, weekdayNames, zones } from "../schedule/zones";
import { Checkbox, Field, valuesIn } from "./parts";

const INTERVALS = {
  daily: "interval.daily",
  weekly: "interval.weekly",
  monthly: "interval.monthly",
  monthlyOn: "interval.monthly",
} as const;

/** When a meeting is; what was chosen is said in a sentence. */
export function WhenFields({ plan }: { plan: Plan }) {
  const { t } = useI18n();
  const place = useRef<HTMLDivElement>(null);
  const [values, setValues] = useState<Record<string, string>>();
  const repeat = values?.repeat ?? plan.recurrence.repeat;
  const ends = values?.ends ?? plan.recurrence.ends;
  const read = useCallback(() => {
    const form = place.current?.closest("form");
    if (form !== null && form !== undefined) setValues(valuesIn(form));
  }, []);
  useEffect(read, [read, repeat, ends]);
  return (
    <div ref={place} className="stacked" onChange={read}>
      <div className="fields">
        <Field label={t("beginsAt")} name="begin" type="datetime-local" value={plan.begin} required />
        <Field label={t("lasts")} name="minutes" type="number" min={1} max={1440} value={String(plan.minutes)} required />
        <label className="field">
          <span>{t("timeZone")}</span>
          <select name="zone" defaultValue={plan.zone}>
            {zones(plan.zone).map((zone) => (
              <option key={zone}>{zone}</option>
            ))}
          </select>
        </label>
      </div>
      <div className="fields">
        <Choice label={t("repeats")} name="repeat" value={plan.recurrence.repeat} choices={REPEATS} text={(each) => t(`repeat.${each}`)} />
        {repeat in INTERVALS && (
          <Field
            label={t(INTERVALS[repeat as keyof typeof INTERVALS])}
            name="interval"
            type="number"
            min={1}
            max={1000}
            value={String(plan.recurrence.interval)}
            required
          />
        )}
        {repeat === "custom" && (
          <Field label={t("repeatRule")} name="rule" value={plan.recurrence.rule} hint={t("repeatRuleHint")} maxLength={256} required />
        )}
      </div>
      {repeat === "weekly" && <Days recurrence={plan.recurrence} />}
      {repeat !== "never" && repeat !== "custom" && (
        <div className="fields">
          <Choice label={t("repeatEnds")} name="ends" value={plan.recurrence.ends} choices={ENDS} text={(each) => t(`ends.${each}`)} />
          {ends === "on" && <Field label={t("lastDay")} name="until" type="date" value={plan.recurrence.until} required />}
          {ends === "after" && (
            <Field label={t("times")} name="count" type="number" min={1} max={3660} value={String(plan.recurrence.count)} required />
          )}
        </div>
      )}
      <Sentence plan={values === undefined ? plan : planIn(values)} />
    </div>
  );
}

/** What was chosen, in words. */
function Sentence({ plan }: { plan: Plan | undefined }) {
  const words = useI18n();
  const { t, language } = words;
  const said = () => {
    if (plan === undefined) return t("planNone");
    if (isOver(plan, Date.now())) return t("planOver");
    const { begin, zone, recurrence } = plan;
    const when = spanText(...firstSpan(plan), zone, language);
    if (recurrence.repeat === "never") return t("planOnce", { when, zone });
    return t("planFirst", { repeats: repeatText(recurrence, begin.slice(0, 10), words, language), when, zone });
  };
  return (
    <p className="sentence" role="status">
      {said()}
    </p>
  );
}

function Days({ recurrence }: { recurrence: Recurrence }) {
  const { t, language } = useI18n();
  const names = weekdayNames(language, "short");
  return (
    <fieldset className="days">
      <legend>{t("repeatDays")}</legend>
      {WEEKDAYS.map((day, index) => (
        <Checkbox key={day} name={`day.${day}`} label={names[index] ?? day} defaultChecked={recurrence.days.includes(index)} />
      ))}
    </fieldset>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  name: string;
  value: T;
  choices: readonly T[];
  text: (choice: T) => string;
}

function Choice<T extends string>({ label, name, value, choices, text }: ChoiceProps<T>) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name} defaultValue={value}>
        {choices.map((each) => (
          <option key={each} value={each}>
            {text(each)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What it is about. */
export function AboutFields({ meeting }: { meeting?: Meeting }) {
  const { t } = useI18n();
  return (
    <>
      <Field label={t("title")} name="title" value={meeting?.title} required maxLength={200} pattern=".*\S.*" />
      <label className="field">
        <span>{t("description")}</span>
        <textarea name="description" rows={2} maxLength={2000} defaultValue={meeting?.description} />
      </label>
    </>
  );
}

/** Who comes in, and how. */
export function DoorFields({ meeting, settings }: { meeting?: Meeting; settings?: Settings }) {
  const { t } = useI18n();
  return (
    <fieldset className="stacked">
      <legend>{t("whoMay")}</legend>
      <Field
        label={t("passcode")}
        name="passcode"
        value={meeting?.passcode}
        hint={t("passcodeHint")}
        autoComplete="off"
        minLength={4}
        maxLength={32}
      />
      <Checkbox name="lobby" label={t("setLobby")} defaultChecked={settings?.lobby} />
      <Checkbox name="guests" label={t("setGuests")} hint={t("setGuestsHint")} defaultChecked={settings?.guestsAllowed} />
    </fieldset>
  );
}

/** Whom to invite by mail. */
export function InviteFields() {
  const { t } = useI18n();
  return (
    <>
      <label className="field">
        <span>{t("invite")}</span>
        <textarea name="invited" rows={3} spellCheck={false} />
        <small>{t("inviteHint")}</small>
      </label>
      <label className="field">
        <span>{t("inviteMessage")}</span>
        <textarea name="message" rows={2} maxLength={1000} />
      </label>
    </>
  );
}
