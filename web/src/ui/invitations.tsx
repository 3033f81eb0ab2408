/** Whom the hosts of a meeting have invited by mail. */
import { useCallback, useState } from "react";
import { schedules } from "../api/client";
import { type Invitation, InvitationState } from "../gen/parley/meeting/v1/schedule_pb";
import { useI18n } from "../i18n";
import { useInviting } from "./inviting";
import { Listed, usePages } from "./pages";
import { Confirm, Form, Problem } from "./parts";
import { InviteFields } from "./planning";

const STATES = {
  [InvitationState.UNSPECIFIED]: "invited.PENDING",
  [InvitationState.PENDING]: "invited.PENDING",
  [InvitationState.SENT]: "invited.SENT",
  [InvitationState.FAILED]: "invited.FAILED",
} as const;

export function InvitationsCard({ meeting }: { meeting: string }) {
  const { t, explain } = useI18n();
  const { addresses, invite } = useInviting();
  const ask = useCallback(
    async (pageToken: string) => {
      const { invitations: items, nextPageToken } = await schedules.listInvitations({ parent: meeting, pageSize: 20, pageToken });
      return { items, nextPageToken };
    },
    [meeting],
  );
  const pages = usePages<Invitation>(ask);
  const [sent, setSent] = useState(0);
  const [doomed, setDoomed] = useState<Invitation>();
  const [problem, setProblem] = useState("");
  const send = async (values: Record<string, string>) => {
    await invite(meeting, addresses(values), values.message ?? "");
    setSent((before) => before + 1);
    pages.reload();
  };
  const answered = async (sure: boolean) => {
    setDoomed(undefined);
    setProblem("");
    if (!sure || doomed === undefined) return;
    try {
      await schedules.deleteInvitation({ name: doomed.name });
    } catch (error) {
      setProblem(explain(error));
    }
    pages.reload();
  };
  return (
    <section className="card" aria-label={t("invited")}>
      <h2>{t("invited")}</h2>
      <Listed pages={pages} none={t("invitedNone")}>
        {(items) => (
          <ul className="listed brief">
            {items.map((each) => (
              <li key={each.name}>
                <span>
                  {each.email} <span className="faint">{t(STATES[each.state])}</span>
                </span>
                <button
                  type="button"
                  className="quiet"
                  aria-label={t("takeBackOf", { email: each.email })}
                  onClick={() => setDoomed(each)}
                >
                  {t("takeBack")}
                </button>
              </li>
            ))}
          </ul>
        )}
      </Listed>
      <Problem text={problem} />
      <Form key={sent} submit={send} action={t("invite")}>
        <InviteFields />
      </Form>
      {doomed !== undefined && (
        <Confirm text={t("takeBackSure", { email: doomed.email })} action={t("takeBack")} done={(sure) => void answered(sure)} />
      )}
    </section>
  );
}
