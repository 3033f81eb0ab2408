/** The private address of one's meetings, for calendar programs. The server shows it when it is made, and never again. */
import { useState } from "react";
import { newRequestId, schedules } from "../api/client";
import { useI18n } from "../i18n";
import { Confirm, Problem } from "./parts";
import { Secret } from "./secrets";

export function FeedCard() {
  const { t, explain } = useI18n();
  const [uri, setUri] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [problem, setProblem] = useState("");
  const answered = async (sure: boolean) => {
    setAsking(false);
    setProblem("");
    if (!sure) return;
    try {
      setUri((await schedules.createCalendarFeed({ requestId: newRequestId() })).uri);
    } catch (error) {
      setProblem(explain(error));
    }
  };
  return (
    <section className="card" aria-label={t("feed")}>
      <h2>{t("feed")}</h2>
      <p className="faint">{t("feedHint")}</p>
      <Problem text={problem} />
      <p role="status">{uri !== "" && t("feedOnce")}</p>
      {uri !== "" && <Secret key={uri} label={t("feedOnce")} text={uri} />}
      <p>
        <button type="button" className="quiet" onClick={() => setAsking(true)}>
          {t("feedMake")}
        </button>
      </p>
      {isAsking && <Confirm text={t("feedSure")} action={t("feedMake")} done={(sure) => void answered(sure)} />}
    </section>
  );
}
