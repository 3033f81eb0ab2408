/** A meeting, from the look in the mirror to the goodbye. */
import { Code, ConnectError } from "@connectrpc/connect";
import { useEffect, useRef, useState } from "react";
import { lobby, meetings, newRequestId, settings as service, signaling } from "../api/client";
import { Complaint, reasonOf } from "../api/errors";
import { insistently } from "../call/breakouts";
import { Call, type Ending } from "../call/call";
import { canEncrypt, Encryption } from "../call/e2ee/encryption";
import { pathTo, secretOf } from "../call/e2ee/secret";
import { listening } from "../call/listening";
import { awaitAdmission } from "../call/lobby";
import { devices, meter } from "../call/media";
import { type JoinMeetingResponse, type Meeting, ParticipantState } from "../gen/parley/meeting/v1/meeting_pb";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import type { User } from "../gen/parley/user/v1/user_pb";
import type { Texts } from "../i18n/en";
import { useI18n } from "../i18n";
import { go, useFragment } from "./navigation";
import { CallView } from "./call";
import { type Device, useDevice } from "./devices";
import { Icon } from "./icons";
import { ListeningList } from "./listening";
import { WaitingRoom } from "./lobby";
import { ControlButton, Field, Form, Playing, Problem } from "./parts";
import { Noise, SettingsDialog } from "./settings";

/** How it ended; for some it never began. */
type End = Ending | "denied" | "gone";

const ENDINGS: Record<End, keyof Texts> = {
  denied: "lobbyDenied",
  gone: "lobbyGone",
  left: "callLeft",
  ended: "callEnded",
  replaced: "callReplaced",
  removed: "callRemoved",
  lost: "callLost",
  failed: "callFailed",
};

/** What trying again may help against, on the way to another room. */
const PASSING: readonly Code[] = [Code.Unavailable, Code.DeadlineExceeded, Code.Unknown, Code.ResourceExhausted];

export function MeetingPage({ code, user }: { code: string; user: User }) {
  const { t, explain } = useI18n();
  const name = `meetings/${code}`;
  const secret = secretOf(useFragment());
  const audio = useDevice("audio");
  const video = useDevice("video");
  const [meeting, setMeeting] = useState<Meeting>();
  const [settings, setSettings] = useState<Settings>();
  const [isSetting, setSetting] = useState(false);
  const [problem, setProblem] = useState("");
  const [call, setCall] = useState<Call>();
  const [ending, setEnding] = useState<{ how: End; text: string }>();
  const [waits, setWaits] = useState<{ participant: string; ahead: number }>();
  /** Our own participant in the meeting itself, by which it knows us in breakout rooms, too. */
  const [me, setMe] = useState("");
  const [moving, setMoving] = useState<{ failed: string }>();
  /** The call that counts: one that was left for another room is of no interest any more. */
  const current = useRef<Call>(undefined);
  const own = useRef({ microphone: audio.track, camera: video.track });
  useEffect(() => {
    own.current = { microphone: audio.track, camera: video.track };
  }, [audio.track, video.track]);

  useEffect(() => {
    meetings
      .getMeeting({ name })
      .then(setMeeting)
      .catch((error: unknown) => setProblem(explain(error)));
    // Without them one can join as well: what listens is told again in the call.
    service.getSettings({ name: `${name}/settings` }).then(setSettings, (error: unknown) => console.warn(error));
  }, [name, explain]);
  useEffect(() => () => call?.leave(), [call]);
  useEffect(() => {
    document.title = meeting === undefined ? t("appName") : `${meeting.title} · ${t("appName")}`;
    return () => void (document.title = t("appName"));
  }, [meeting, t]);

  const join = async (values: Record<string, string>) => {
    const admission = await ask(name, values.passcode ?? "");
    const { participant } = admission;
    if (participant?.state === ParticipantState.WAITING) setWaits({ participant: participant.name, ahead: 0 });
    else await enter(admission);
  };

  /** Go into a meeting, or one of its breakout rooms, and leave where we have been. */
  const enter = async (admission: JoinMeetingResponse): Promise<void> => {
    // What the server says now holds for good; a meeting that is not what the link says is not entered.
    if (admission.meeting?.endToEndEncrypted !== (secret !== undefined)) {
      const left = { name: admission.meeting?.name ?? name, participant: admission.participant?.name ?? "" };
      await meetings.leaveMeeting(left);
      throw new Complaint(t(secret === undefined ? "keyMissing" : "notEncrypted"));
    }
    const encryption = secret === undefined ? undefined : new Encryption(secret, admission.participant?.name ?? "");
    const joining = new Call(signaling, admission, own.current, encryption);
    let goesTo = "";
    joining.subscribe(() => {
      if (current.current !== joining) return;
      const { phase, ending: how, error, settings: told, meeting: changed, movedTo } = joining.state;
      if (movedTo !== goesTo) {
        goesTo = movedTo;
        follow(joining, movedTo);
      }
      if (changed !== undefined) setMeeting(changed);
      if (told !== undefined) setSettings(told);
      if (phase !== "over") return;
      audio.turnOff();
      video.turnOff();
      setCall(undefined);
      setEnding({ how: how ?? "lost", text: error === undefined ? "" : explain(error) });
    });
    current.current = joining;
    setMoving(undefined);
    setMeeting(admission.meeting);
    if (admission.meeting.breakoutOf === "") setMe(admission.participant?.name ?? "");
    setCall(joining);
    await joining.start();
  };

  /** Go where we are told to; if the door is shut, we have been told to go elsewhere since, or stay. */
  const follow = (from: Call, where: string) => {
    setMoving({ failed: "" });
    const isAwaited = () => current.current === from && from.state.movedTo === where && from.state.phase !== "over";
    const helps = (error: unknown) => isAwaited() && PASSING.includes(ConnectError.from(error).code);
    insistently(async () => enter(await ask(where, "")), helps).catch((error: unknown) => {
      console.warn(error);
      if (isAwaited()) setMoving({ failed: explain(error) });
    });
  };

  const waiting = waits?.participant;
  const onDecision = useRef(enter);
  useEffect(() => {
    onDecision.current = enter;
  });
  useEffect(() => {
    if (waiting === undefined) return undefined;
    const leaving = new AbortController();
    awaitAdmission(lobby, waiting, (ahead) => setWaits({ participant: waiting, ahead }), leaving.signal)
      .then(async (decision) => {
        if (decision === "denied" || decision === "gone") setEnding({ how: decision, text: "" });
        else await onDecision.current(decision);
      })
      .catch((error: unknown) => {
        if (!leaving.signal.aborted) setEnding({ how: reasonOf(error) === "MEETING_ENDED" ? "ended" : "failed", text: explain(error) });
      })
      .finally(() => {
        if (!leaving.signal.aborted) setWaits(undefined);
      });
    return () => leaving.abort();
  }, [waiting, explain]);
  const stopWaiting = () => {
    setWaits(undefined);
    meetings.leaveMeeting({ name, participant: waiting ?? "" }).catch((error: unknown) => console.warn(error));
  };

  const openLink = (values: Record<string, string>): Promise<void> => {
    const found = secretOf(values.link ?? "");
    if (found === undefined) return Promise.reject(new Complaint(t("keyNotThere")));
    go(pathTo(code, found));
    return Promise.resolve();
  };
  const lack = meeting && lackOf(meeting, secret);

  const again = () => {
    setEnding(undefined);
    void audio.turnOn();
    void video.turnOn();
  };

  if (ending !== undefined)
    return (
      <section className="card narrow center-text" role="status">
        <h1>{t(ENDINGS[ending.how])}</h1>
        <Problem text={ending.text} />
        {(settings?.transcript === true || settings?.summary === true) && (
          <p>
            <button type="button" className="link" onClick={() => go(`/r/${code}`)}>
              {t("record")}
            </button>
          </p>
        )}
        <div className="actions middle-aligned">
          {ending.how !== "ended" && (
            <button type="button" className="primary" onClick={again}>
              {t("rejoin")}
            </button>
          )}
          <button type="button" className="quiet" onClick={() => go("/")}>
            {t("home")}
          </button>
        </div>
      </section>
    );
  if (call !== undefined && meeting !== undefined)
    return (
      <CallView
        call={call}
        meeting={meeting}
        me={me}
        moving={moving}
        isOwner={meeting.host === user.name}
        audio={audio}
        video={video}
      />
    );
  if (waits !== undefined)
    return (
      <section className="prejoin">
        <Mirror video={video} audio={audio} />
        <div className="card">
          <WaitingRoom title={meeting?.title ?? ""} ahead={waits.ahead} leave={stopWaiting} />
        </div>
      </section>
    );
  return (
    <section className="prejoin">
      <Mirror video={video} audio={audio} />
      <div className="card">
        <h1>{meeting?.title ?? t("ready")}</h1>
        <p className="faint code">{code}</p>
        <Problem text={problem} />
        {meeting !== undefined && (
          <p className="faint">
            {meeting.participantCount === 0 ? t("nobodyYet") : t("people", { count: meeting.participantCount })}
          </p>
        )}
        {meeting?.endToEndEncrypted === true && (
          <p className="lock">
            <Icon name="lock" />
            {t("encrypted")}
          </p>
        )}
        <ListeningList kinds={listening(settings, false)} />
        {lack !== undefined && <Problem text={t(lack)} />}
        {lack === "keyMissing" && (
          <Form submit={openLink} action={t("openLink")}>
            <Field label={t("wholeLink")} name="link" autoComplete="off" required />
          </Form>
        )}
        {meeting !== undefined && lack === undefined && (
          <Form submit={join} action={t("joinNow")}>
            {meeting.passcodeRequired && meeting.host !== user.name && (
              <Field label={t("passcode")} name="passcode" required maxLength={32} />
            )}
            <Picker device={audio} kind="audio" label={t("microphone")} />
            <Noise audio={audio} />
            <Picker device={video} kind="video" label={t("camera")} />
          </Form>
        )}
        <p className="ends">
          <button type="button" className="link" onClick={() => go("/")}>
            {t("back")}
          </button>
          {meeting?.host === user.name && settings !== undefined && (
            <button type="button" className="link" onClick={() => setSetting(true)}>
              {t("settings")}
            </button>
          )}
        </p>
        {isSetting && (
          <SettingsDialog audio={audio} meeting={settings} changed={setSettings} close={() => setSetting(false)} />
        )}
      </div>
    </section>
  );
}

function ask(name: string, passcode: string): Promise<JoinMeetingResponse> {
  return meetings.joinMeeting({ name, passcode, requestId: newRequestId() });
}

/** What is missing to enter a meeting as its link and the server say it is. */
function lackOf(meeting: Meeting, secret: string | undefined): "keyMissing" | "notEncrypted" | "encryptUnsupported" | undefined {
  if (!meeting.endToEndEncrypted) return secret === undefined ? undefined : "notEncrypted";
  if (!canEncrypt()) return "encryptUnsupported";
  return secret === undefined ? "keyMissing" : undefined;
}

function Mirror({ audio, video }: { audio: Device; video: Device }) {
  const { t } = useI18n();
  const trouble = [audio, video].map(({ problem }) => problem).filter((problem) => problem !== undefined);
  return (
    <div>
      <div className="tile mirror">
        {video.track === null ? <p className="center">{t("cameraOff")}</p> : <Playing track={video.track} mirrored />}
        <div className="controls overlay">
          <ControlButton
            icon={audio.on ? "mic" : "micOff"}
            label={audio.on ? t("mute") : t("unmute")}
            off={!audio.on}
            onClick={() => (audio.on ? audio.turnOff() : void audio.turnOn())}
          />
          <ControlButton
            icon={video.on ? "camera" : "cameraOff"}
            label={video.on ? t("turnOffCamera") : t("turnOnCamera")}
            off={!video.on}
            onClick={() => (video.on ? video.turnOff() : void video.turnOn())}
          />
        </div>
      </div>
      {audio.track !== null && <Loudness track={audio.track} />}
      {trouble.map((problem) => (
        <p key={problem.kind} className="problem" role="alert">
          {t(`media.${problem.problem}.${problem.kind}`)}{" "}
          <button
            type="button"
            className="link"
            onClick={() => void (problem.kind === "audio" ? audio : video).turnOn()}
          >
            {t("tryAgain")}
          </button>
        </p>
      ))}
    </div>
  );
}

function Loudness({ track }: { track: MediaStreamTrack }) {
  const { t } = useI18n();
  const [level, setLevel] = useState(0);
  useEffect(() => meter(track, setLevel), [track]);
  return (
    <div className="loudness">
      <Icon name="mic" />
      <meter min={0} max={1} value={level} aria-label={t("microphone")} />
    </div>
  );
}

function Picker({ device, kind, label }: { device: Device; kind: "audio" | "video"; label: string }) {
  const [list, setList] = useState<readonly MediaDeviceInfo[]>([]);
  useEffect(() => {
    void devices(kind).then(setList);
  }, [kind, device.track]);
  if (list.length < 2) return null;
  return (
    <label className="field">
      <span>{label}</span>
      <select
        value={device.deviceId}
        onChange={(event) => void device.turnOn(event.target.value)}
      >
        {list.map((each) => (
          <option key={each.deviceId} value={each.deviceId}>
            {each.label}
          </option>
        ))}
      </select>
    </label>
  );
}
