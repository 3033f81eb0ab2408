/** The call itself: a stage with a tile for everyone, and the buttons below. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { meetings, settings } from "../api/client";
import type { Call } from "../call/call";
import { listening, type Question } from "../call/listening";
import { canShare } from "../call/screen";
import { type Meeting, ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { Breakouts, RoomsBanner, useRooms } from "./breakouts";
import { Captions, CaptionsMenu, useTaste } from "./captions";
import { useConsent } from "./consent";
import type { Device } from "./devices";
import { Mood, OwnEmotion } from "./emotions";
import { Icon } from "./icons";
import { Listening, Questions } from "./listening";
import { Announcer, Banner, Lock, Sharing } from "./notices";
import { People } from "./people";
import { Confirm, ControlButton, Problem } from "./parts";
import { useScreenShare } from "./screens";
import { SettingsDialog } from "./settings";
import { useShortcuts } from "./shortcuts";
import { Sounds } from "./sounds";
import { Stage } from "./stage";
import { Statistics } from "./statistics";
import { Transcript } from "./transcript";

/** Who may change what a meeting listens to. */
const CHAIRS: ReadonlySet<ParticipantRole> = new Set([ParticipantRole.HOST, ParticipantRole.COHOST]);

interface CallViewProps {
  call: Call;
  meeting: Meeting;
  /** Our own participant in the meeting itself, of which this may be a breakout room. */
  me: string;
  /** Whether we are on the way to another room, and why that has failed. */
  moving: { failed: string } | undefined;
  isHost: boolean;
  audio: Device;
  video: Device;
}

export function CallView({ call, meeting, me, moving, isHost, audio, video }: CallViewProps) {
  const { t, explain } = useI18n();
  const state = useSyncExternalStore(call.subscribe, call.snapshot);
  const [silenced, setSilenced] = useState(false);
  const [problem, setProblem] = useState("");
  const [copied, setCopied] = useState(false);
  const [isEnding, setEnding] = useState(false);
  const [isListed, setListed] = useState(false);
  const [isCounted, setCounted] = useState(false);
  const [isRead, setRead] = useState(false);
  const [isSetting, setSetting] = useState(false);
  const taste = useTaste();
  const consent = useConsent(state.me, state.settings?.captions === true);
  const screen = useScreenShare(call);
  const rooms = useRooms(meeting, me, state);
  /** What was wrong before the call has been said there. */
  const [known] = useState([audio.problem, video.problem]);
  const muted = silenced || !audio.on;

  const attempt = useCallback(
    (work: Promise<unknown>) => {
      setProblem("");
      work.catch((error: unknown) => {
        console.warn(error);
        setProblem(explain(error));
      });
    },
    [explain],
  );
  useEffect(() => {
    // A microphone that is opened anew in another way stays as silent as it was.
    if (audio.track !== null) audio.track.enabled = !silenced;
    attempt(call.setOwn("microphone", audio.track));
  }, [attempt, call, audio.track]);
  useEffect(() => attempt(call.setOwn("camera", video.track)), [attempt, call, video.track]);

  const toggleMicrophone = () => {
    if (audio.on) attempt(call.mute("microphone", !silenced));
    else void audio.turnOn();
    setSilenced(audio.on && !silenced);
  };
  const toggleCamera = () => {
    if (video.on) video.turnOff();
    else void video.turnOn();
  };
  const toggleScreen = () => {
    if (canShare()) attempt(screen.toggle());
  };
  const answer = (question: Question, agrees: boolean) => attempt(consent.answer(question, agrees));
  const mayChange = isHost || state.participants.some(({ name, role }) => name === state.me && CHAIRS.has(role));
  const turnCaptionsOn = () => {
    const wanted = { name: `${meeting.name}/settings`, captions: true };
    attempt(settings.updateSettings({ settings: wanted, updateMask: { paths: ["captions"] } }).then(call.learn));
  };
  const kinds = listening(state.settings, meeting.voiceActivity !== false && !call.isEncrypted);
  const toggleTranscript = () => setRead(!isRead);
  const toggleList = () => setListed(!isListed);
  const toggleStatistics = () => setCounted(!isCounted);
  const leave = () => call.leave();
  useShortcuts({
    m: toggleMicrophone,
    v: toggleCamera,
    s: toggleScreen,
    p: toggleList,
    n: toggleStatistics,
    c: () => taste.setOn(!taste.on),
    t: toggleTranscript,
    "shift+l": leave,
  });

  const invite = async () => {
    // Only secure contexts have a clipboard; elsewhere the link is shown to be copied by hand.
    if (!("clipboard" in navigator)) return void prompt(t("copyLink"), location.href);
    await navigator.clipboard.writeText(location.href);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  const end = (sure: boolean) => {
    setEnding(false);
    if (sure) attempt(meetings.endMeeting({ name: meeting.name }));
  };
  useEffect(() => {
    // Asked for once we are in: whatever changes from then on is told.
    if (state.me === "") return;
    settings.getSettings({ name: `${meeting.name}/settings` }).then(
      (asked) => {
        if (call.state.settings === undefined) call.learn(asked);
      },
      (error: unknown) => console.warn(error),
    );
  }, [call, meeting.name, state.me]);
  const trouble = [audio.problem, video.problem].find((each) => each !== undefined && !known.includes(each));
  return (
    <section className="call" aria-label={meeting.title}>
      <Listening kinds={kinds} settings={state.settings} consent={consent} answer={answer}>
        {state.settings?.emotions === true && (
          <span className="moods">
            {consent.emotions && <OwnEmotion call={call} />}
            {mayChange && <Mood call={call} />}
          </span>
        )}
      </Listening>
      <Questions settings={state.settings} consent={consent} answer={answer} problem={problem} />
      <Banner state={state} rebuild={() => void call.buildMedia()} />
      <RoomsBanner rooms={rooms} isHost={mayChange} />
      {moving !== undefined && <p className="banner" role="status">{moving.failed || t("movingRooms")}</p>}
      <Problem text={problem} />
      {trouble !== undefined && <Problem text={t(`media.${trouble.problem}.${trouble.kind}`)} />}
      {screen.on && <Sharing screen={screen} stop={toggleScreen} />}
      <div className="middle">
        <div className="theatre">
          <Stage state={state} wishes={call.wishes} own={video.track} ownMuted={muted} />
          {taste.on && state.settings?.captions === true && <Captions call={call} state={state} taste={taste} />}
        </div>
        <Sounds state={state} />
        {isCounted && <Statistics call={call} state={state} close={toggleStatistics} />}
        {isRead && (
          <Transcript
            call={call}
            state={state}
            meeting={meeting.name}
            start={meeting.startTime && timestampMs(meeting.startTime)}
            language={taste.language}
            close={toggleTranscript}
          />
        )}
        {isListed && (
          <People state={state} ownMuted={muted} close={toggleList}>
            <Breakouts rooms={rooms} state={state} isHost={mayChange} />
          </People>
        )}
      </div>
      {state.participants.length === 1 && <p className="faint center-text">{t("alone")}</p>}
      <Announcer state={state} />
      <div className="bar">
        <span className="about">
          <strong>{meeting.title}</strong>
          {call.isEncrypted && <Lock />}
          <span className="faint code">{meeting.name.replace("meetings/", "")}</span>
        </span>
        <div className="controls">
          <ControlButton
            icon={muted ? "micOff" : "mic"}
            label={muted ? t("unmute") : t("mute")}
            shortcut="M"
            off={muted}
            onClick={toggleMicrophone}
          />
          <ControlButton
            icon={video.on ? "camera" : "cameraOff"}
            label={video.on ? t("turnOffCamera") : t("turnOnCamera")}
            shortcut="V"
            off={!video.on}
            onClick={toggleCamera}
          />
          {canShare() && (
            <ControlButton
              icon={screen.on ? "screenOff" : "screen"}
              label={screen.on ? t("stopSharing") : t("share")}
              shortcut="S"
              pressed={screen.on}
              onClick={toggleScreen}
            />
          )}
          <CaptionsMenu
            state={state}
            taste={taste}
            isEncrypted={call.isEncrypted}
            turnOn={mayChange ? turnCaptionsOn : undefined}
          />
          <ControlButton
            icon="transcript"
            label={t("transcript")}
            shortcut="T"
            expanded={isRead}
            onClick={toggleTranscript}
          />
          <ControlButton icon="link" label={copied ? t("copied") : t("copyLink")} onClick={() => attempt(invite())} />
          <ControlButton
            icon="people"
            label={t("people", { count: state.participants.length })}
            badge={state.participants.length}
            shortcut="P"
            expanded={isListed}
            onClick={toggleList}
          />
          <ControlButton icon="leave" label={t("leave")} shortcut="Shift+L" danger onClick={leave} />
        </div>
        <span className="end">
          <button
            type="button"
            className="quiet"
            aria-label={t("statistics")}
            aria-expanded={isCounted}
            aria-keyshortcuts="N"
            title={`${t("statistics")} (N)`}
            onClick={toggleStatistics}
          >
            <Icon name="statistics" />
          </button>
          <button
            type="button"
            className="quiet"
            aria-label={t("settings")}
            title={t("settings")}
            onClick={() => setSetting(true)}
          >
            <Icon name="settings" />
          </button>
          {isHost && meeting.breakoutOf === "" && (
            <button type="button" className="quiet" onClick={() => setEnding(true)}>
              {t("endForAll")}
            </button>
          )}
        </span>
      </div>
      {isSetting && (
        <SettingsDialog
          audio={audio}
          meeting={mayChange ? state.settings : undefined}
          changed={call.learn}
          close={() => setSetting(false)}
        />
      )}
      {isEnding && <Confirm text={t("endForAllSure")} action={t("endForAll")} done={end} />}
    </section>
  );
}
