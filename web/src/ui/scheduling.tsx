/** The pages that schedule a meeting, and change one. */
import { useRef, useState } from "react";
import { meetings, newRequestId, schedules, settings as service } from "../api/client";
import { Complaint, reasonOf } from "../api/errors";
import type { User } from "../gen/parley/user/v1/user_pb";
import { useI18n } from "../i18n";
import { isOver, moved, newPlan, type Plan, planIn, planOf, scheduleOf } from "../schedule/plan";
import { ownZone } from "../schedule/zones";
import { useInviting } from "./inviting";
import { go } from "./navigation";
import { Form, Problem } from "./parts";
import { type Planned, usePlanned } from "./planned";
import { AboutFields, DoorFields, InviteFields, WhenFields } from "./planning";

type Values = Record<string, string>;

export function SchedulePage() {
  const { t, explain } = useI18n();
  const { addresses, invite } = useInviting();
  const read = usePlanIn();
  const [first] = useState(() => newPlan(Date.now(), ownZone()));
  const [made, setMade] = useState<{ name: string; problem: string }>();
  const requestId = useRequestId();
  const make = async (values: Values) => {
    const plan = read(values);
    if (isOver(plan, Date.now())) throw new Complaint(t("planOver"));
    const schedule = scheduleOf(plan);
    const emails = addresses(values);
    const { meeting } = await schedules.scheduleMeeting({ meeting: aboutIn(values), schedule, requestId: requestId(values) });
    const name = meeting?.name ?? "";
    try {
      const paths = ["lobby", "guests_allowed"];
      await service.updateSettings({ settings: { name: `${name}/settings`, ...doorIn(values) }, updateMask: { paths } });
      await invite(name, emails, values.message ?? "");
    } catch (error) {
      setMade({ name, problem: explain(error) });
      return;
    }
    go(pathOf(name));
  };
  return (
    <div className="account">
      <h1>{t("scheduleMeeting")}</h1>
      <section className="card">
        {made === undefined ? (
          <Form submit={make} action={t("schedule")}>
            <AboutFields />
            <WhenFields plan={first} />
            <DoorFields />
            <InviteFields />
          </Form>
        ) : (
          <>
            <Problem text={t("scheduledBut", { reason: made.problem })} />
            <button type="button" className="primary" onClick={() => go(pathOf(made.name))}>
              {t("toMeeting")}
            </button>
          </>
        )}
      </section>
    </div>
  );
}

export function EditPage({ code, user }: { code: string; user: User }) {
  const { t } = useI18n();
  const { planned, problem, reload } = usePlanned(code);
  const isHost = planned?.meeting.host === user.name;
  return (
    <div className="account">
      <h1>{t("editMeeting")}</h1>
      <section className="card">
        <Problem text={planned === undefined || isHost ? problem : t("error.NOT_HOST")} />
        {planned === undefined && problem === "" && <p className="faint">{t("loading")}</p>}
        {planned !== undefined && isHost && <EditForm planned={planned} reload={reload} />}
      </section>
    </div>
  );
}

function EditForm({ planned, reload }: { planned: Planned; reload: () => Promise<void> }) {
  const { t } = useI18n();
  const read = usePlanIn();
  const [told, setTold] = useState("");
  const { meeting, schedule, settings } = planned;
  const change = async (values: Values) => {
    setTold("");
    try {
      await save(values);
    } catch (error) {
      if (reasonOf(error) !== "ETAG_MISMATCH") throw error;
      await reload();
      setTold(t("changedMeanwhile"));
      return;
    }
    go(pathOf(meeting.name));
  };
  const save = async (values: Values) => {
    if (schedule !== undefined) {
      const plan = read(values);
      const update = moved(schedule, plan);
      if (update !== undefined && isOver(plan, Date.now())) throw new Complaint(t("planOver"));
      if (update !== undefined) await schedules.updateSchedule({ schedule: update });
    }
    const changed = { name: meeting.name, etag: meeting.etag, ...aboutIn(values) };
    const { etag } = await meetings.updateMeeting({ meeting: changed, updateMask: { paths: ["title", "description", "passcode"] } });
    const door = { name: settings.name, etag, ...doorIn(values) };
    await service.updateSettings({ settings: door, updateMask: { paths: ["lobby", "guests_allowed"] } });
  };
  return (
    <>
      <Problem text={told} />
      <Form key={`${meeting.etag} ${schedule?.etag ?? ""}`} submit={change} action={t("save")}>
        <AboutFields meeting={meeting} />
        {schedule !== undefined && <WhenFields plan={planOf(schedule)} />}
        <DoorFields meeting={meeting} settings={settings} />
      </Form>
      <p>
        <button type="button" className="link" onClick={() => go(pathOf(meeting.name))}>
          {t("back")}
        </button>
      </p>
    </>
  );
}

/** Reads the plan in a form, or says what it lacks. */
function usePlanIn(): (values: Values) => Plan {
  const { t } = useI18n();
  return (values) => {
    const plan = planIn(values);
    if (plan === undefined) throw new Complaint(t("planNone"));
    return plan;
  };
}

/** The same request id for the same form, so that trying again makes no second meeting. */
function useRequestId(): (values: Values) => string {
  const last = useRef({ said: "", id: "" });
  return (values) => {
    const said = JSON.stringify(values);
    if (said !== last.current.said) last.current = { said, id: newRequestId() };
    return last.current.id;
  };
}

function aboutIn({ title = "", description = "", passcode = "" }: Values) {
  return { title: title.trim(), description: description.trim(), passcode };
}

function doorIn(values: Values) {
  return { lobby: values.lobby !== undefined, guestsAllowed: values.guests !== undefined };
}

function pathOf(name: string): string {
  return `/s/${name.replace("meetings/", "")}`;
}
