/** The form of a new poll. */
import { useState } from "react";
import type { Polls } from "../call/polls";
import { useI18n } from "../i18n";
import { Checkbox, Field, Form } from "./parts";

const FEWEST = 2;
const MOST = 10;
const CHOICE = "choice.";

export function Asking({ polls, done }: { polls: Polls; done: () => void }) {
  const { t } = useI18n();
  const [count, setCount] = useState(FEWEST);
  const ask = async (values: Record<string, string>) => {
    const choices = Array.from({ length: count }, (_, place) => values[`${CHOICE}${place}`]?.trim() ?? "");
    await polls.ask({
      question: values.question ?? "",
      choices: choices.filter((text) => text !== ""),
      multiple: values.multiple !== undefined,
      anonymous: values.anonymous !== undefined,
      liveResults: values.live !== undefined,
    });
    done();
  };
  return (
    <Form submit={ask} action={t("pollAskNow")}>
      <Field label={t("pollQuestion")} name="question" required maxLength={300} pattern=".*\S.*" />
      {Array.from({ length: count }, (_, place) => (
        <Field
          key={place}
          label={t("pollChoice", { place: place + 1 })}
          name={`${CHOICE}${place}`}
          required={place < FEWEST}
          pattern=".*\S.*"
          maxLength={100}
        />
      ))}
      {count < MOST && (
        <button type="button" className="quiet" onClick={() => setCount(count + 1)}>
          {t("pollChoiceMore")}
        </button>
      )}
      <Checkbox name="multiple" label={t("pollMultiple")} />
      <Checkbox name="anonymous" label={t("pollAnonymous")} hint={t("pollAnonymousHint")} />
      <Checkbox name="live" label={t("pollLive")} hint={t("pollLiveHint")} />
      <button type="button" className="quiet" onClick={done}>
        {t("cancel")}
      </button>
    </Form>
  );
}
