/** Where one is signed in, and ending that. */
import { useState } from "react";
import { agentText } from "../account/agents";
import { newRequestId, sessions } from "../api/client";
import type { Session } from "../gen/parley/user/v1/session_pb";
import { useI18n } from "../i18n";
import { Listed, usePages } from "./pages";
import { Confirm, Problem } from "./parts";
import { timeText } from "./times";

const ME = "users/me";

async function ask(pageToken: string) {
  const { sessions: items, nextPageToken } = await sessions.listSessions({ parent: ME, pageSize: 20, pageToken });
  return { items, nextPageToken };
}

export function SessionsCard() {
  const { t, explain } = useI18n();
  const pages = usePages<Session>(ask);
  const [isAsking, setAsking] = useState(false);
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState("");
  const end = async (work: () => Promise<number>) => {
    setProblem("");
    try {
      setSaid(t("sessionsEnded", { count: await work() }));
    } catch (error) {
      setProblem(explain(error));
    }
    pages.reload();
  };
  const endOne = async ({ name }: Session) => {
    await sessions.endSession({ name });
    return 1;
  };
  const endOthers = async () => {
    const { endedCount } = await sessions.endAllSessions({ parent: ME, keepCurrent: true, requestId: newRequestId() });
    return endedCount;
  };
  const answered = (sure: boolean) => {
    setAsking(false);
    if (sure) void end(endOthers);
  };
  return (
    <section className="card" aria-label={t("sessions")}>
      <h2>{t("sessions")}</h2>
      <Listed pages={pages} none={t("sessionsNone")}>
        {(items) => (
          <ul className="listed">
            {items.map((each) => (
              <Row key={each.name} session={each} end={() => void end(() => endOne(each))} />
            ))}
          </ul>
        )}
      </Listed>
      <Problem text={problem} />
      <p role="status">{said}</p>
      <button type="button" className="quiet" onClick={() => setAsking(true)}>
        {t("sessionEndOthers")}
      </button>
      {isAsking && <Confirm text={t("sessionEndOthersSure")} action={t("sessionEndOthers")} done={answered} />}
    </section>
  );
}

function Row({ session, end }: { session: Session; end: () => void }) {
  const { t, language } = useI18n();
  const agent = session.userAgent === "" ? t("sessionUnknown") : agentText(session.userAgent);
  const about = {
    address: session.address,
    since: timeText(session.createTime, language),
    used: timeText(session.refreshTime ?? session.createTime, language),
  };
  return (
    <li>
      <div>
        <div title={session.userAgent}>
          {agent} {session.current && <strong>({t("sessionHere")})</strong>}
        </div>
        <div className="faint">{t("sessionAbout", about)}</div>
      </div>
      {!session.current && (
        <button type="button" className="quiet" aria-label={t("sessionEndOf", { agent })} onClick={end}>
          {t("sessionEnd")}
        </button>
      )}
    </li>
  );
}
