/** The call itself: a stage with a tile for everyone, and the buttons below. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { meetings, settings } from "../api/client";
import type { Call } from "../call/call";
import { listening, type Question } from "../call/listening";
import { unanswered } from "../call/polls";
import { grantedTo, runs } from "../call/roles";
import { ownOf, trackOf } from "../call/room";
import { canShare } from "../call/screen";
import type { Source } from "../call/sources";
import { type Meeting, ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { downloadAttendance } from "./attendance";
import { Breakouts, RoomsBanner, useRooms } from "./breakouts";
import { Captions, CaptionsMenu, useTaste } from "./captions";
import { ChatAnnouncer, ChatPanel, useChat } from "./chat";
import { useConsent } from "./consent";
import { controlOf } from "./control";
import type { Device } from "./devices";
import { Mood, OwnEmotion } from "./emotions";
import { Icon } from "./icons";
import { Listening, Questions } from "./listening";
import { LobbyNotice, useLobby } from "./lobby";
import { NotesPanel } from "./notes";
import { Announcer, Banner, Lock, Sharing } from "./notices";
import { usePanels } from "./panels";
import { People } from "./people";
import { Confirm, ControlButton, Problem } from "./parts";
import { PollNotice, PollsPanel, usePolls } from "./polls";
import { Floating, ReactionsMenu } from "./reactions";
import { useScreenShare } from "./screens";
import { SettingsDialog } from "./settings";
import { useShortcuts } from "./shortcuts";
import { SilencedNotice, UnmuteQuestion, useSilence } from "./silence";
import { Sounds } from "./sounds";
import { Stage } from "./stage";
import { Statistics } from "./statistics";
import { Transcript } from "./transcript";

interface CallViewProps {
  call: Call;
  meeting: Meeting;
  /** Our own participant in the meeting itself, of which this may be a breakout room. */
  me: string;
  /** Whether we are on the way to another room, and why that has failed. */
  moving: { failed: string } | undefined;
  /** Whether the meeting is ours. */
  isOwner: boolean;
  audio: Device;
  video: Device;
}

export function CallView({ call, meeting, me, moving, isOwner, audio, video }: CallViewProps) {
  const { t, explain } = useI18n();
  const state = useSyncExternalStore(call.subscribe, call.snapshot);
  const [silenced, setSilenced] = useState(false);
  const [problem, setProblem] = useState("");
  const [copied, setCopied] = useState(false);
  const [isEnding, setEnding] = useState(false);
  const [isSetting, setSetting] = useState(false);
  const [isReacting, setReacting] = useState(false);
  const { isOpen, toggle, closeLast } = usePanels();
  const taste = useTaste();
  const consent = useConsent(state.me, state.settings?.captions === true);
  const screen = useScreenShare(call);
  const chat = useChat(call, meeting.name, state.me, isOpen("chat"));
  const { unread } = useSyncExternalStore(chat.subscribe, chat.snapshot);
  const rooms = useRooms(meeting, me, state);
  /** What was wrong before the call has been said there. */
  const [known] = useState([audio.problem, video.problem]);
  const own = ownOf(state);
  const may = grantedTo(own);
  const isHost = isOwner || own?.role === ParticipantRole.HOST;
  const mayChange = isHost || runs(own);
  const muted = silenced || !audio.on || !may.has("microphone");
  const picture = may.has("camera") ? video.track : null;

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
    if (!may.has("microphone")) return;
    if (audio.on) attempt(call.mute("microphone", !silenced));
    else void audio.turnOn();
    setSilenced(audio.on && !silenced);
  };
  const toggleCamera = () => {
    if (!may.has("camera")) return;
    if (video.on) video.turnOff();
    else void video.turnOn();
  };
  const toggleScreen = () => {
    if (canShare() && may.has("screen")) attempt(screen.toggle());
  };
  const sends = (source: Source) => trackOf(state, state.me, source)?.muted === false;
  const unmute = (source: Source) => {
    if (source === "camera" ? !video.on : source === "microphone" && muted) (source === "camera" ? toggleCamera : toggleMicrophone)();
  };
  useSilence(call, (source) => {
    if (source === "microphone") setSilenced(true);
    else if (source === "camera") video.turnOff();
    else attempt(screen.stop());
  });
  const answer = (question: Question, agrees: boolean) => attempt(consent.answer(question, agrees));
  const control = controlOf(meeting.name, attempt);
  useLobby(call, meeting.name, mayChange && state.me !== "");
  const polls = usePolls(call, meeting.name, state.me, mayChange);
  const waiting = unanswered(useSyncExternalStore(polls.subscribe, polls.snapshot).polls);
  const turnCaptionsOn = () => {
    const wanted = { name: `${meeting.name}/settings`, captions: true };
    attempt(settings.updateSettings({ settings: wanted, updateMask: { paths: ["captions"] } }).then(call.learn));
  };
  const kinds = listening(state.settings, meeting.voiceActivity !== false && !call.isEncrypted);
  const toggleTranscript = () => toggle("transcript");
  const toggleList = () => toggle("people");
  const toggleStatistics = () => toggle("statistics");
  const toggleChat = () => toggle("chat");
  const togglePolls = () => toggle("polls");
  const toggleNotes = () => toggle("notes");
  const isRaised = state.hands.includes(state.me);
  const toggleHand = () => attempt(call.setHand(!isRaised));
  const react = (emoji: string) => attempt(call.react(emoji));
  const lower = (participant: string) => attempt(call.setHand(false, participant));
  const download = () => {
    const titles = [t("displayName"), t("attendanceFirst"), t("attendanceLast"), t("attendanceMinutes"), t("attendanceVisits")];
    attempt(downloadAttendance(meeting.name, titles));
  };
  const leave = () => call.leave();
  useShortcuts({
    m: toggleMicrophone,
    v: toggleCamera,
    s: toggleScreen,
    p: toggleList,
    n: toggleStatistics,
    c: () => taste.setOn(!taste.on),
    t: toggleTranscript,
    w: toggleChat,
    e: toggleNotes,
    q: togglePolls,
    h: toggleHand,
    r: () => setReacting(!isReacting),
    escape: closeLast,
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
      <PollNotice polls={polls} isShown={isOpen("polls")} show={togglePolls} />
      {mayChange && <LobbyNotice state={state} control={control} show={isOpen("people") ? undefined : toggleList} />}
      <SilencedNotice state={state} sends={sends} may={may} unmute={unmute} />
      <UnmuteQuestion state={state} sends={sends} unmute={unmute} />
      <Banner state={state} rebuild={() => void call.buildMedia()} />
      <RoomsBanner rooms={rooms} isHost={mayChange} />
      {moving !== undefined && <p className="banner" role="status">{moving.failed || t("movingRooms")}</p>}
      <Problem text={problem} />
      {trouble !== undefined && <Problem text={t(`media.${trouble.problem}.${trouble.kind}`)} />}
      {screen.on && <Sharing screen={screen} stop={toggleScreen} />}
      <div className="middle">
        <div className="theatre">
          <Stage state={state} wishes={call.wishes} own={picture} ownMuted={muted} />
          <Floating call={call} state={state} />
          {taste.on && state.settings?.captions === true && <Captions call={call} state={state} taste={taste} />}
        </div>
        <Sounds state={state} />
        {isOpen("statistics") && <Statistics call={call} state={state} close={toggleStatistics} />}
        {isOpen("transcript") && (
          <Transcript
            call={call}
            state={state}
            meeting={meeting.name}
            start={meeting.startTime && timestampMs(meeting.startTime)}
            language={taste.language}
            close={toggleTranscript}
          />
        )}
        {isOpen("chat") && <ChatPanel chat={chat} state={state} isEncrypted={call.isEncrypted} close={toggleChat} />}
        {isOpen("polls") && <PollsPanel polls={polls} state={state} presents={mayChange} close={togglePolls} />}
        <NotesPanel call={call} meeting={meeting.name} isOpen={isOpen("notes")} close={toggleNotes} />
        {isOpen("people") && (
          <People
            state={state}
            ownMuted={muted}
            isLocked={meeting.locked}
            isHost={isHost}
            control={mayChange ? control : undefined}
            lower={mayChange ? lower : undefined}
            download={isHost ? download : undefined}
            close={toggleList}
          >
            <Breakouts rooms={rooms} state={state} isHost={mayChange} />
          </People>
        )}
      </div>
      {state.participants.length === 1 && <p className="faint center-text">{t("alone")}</p>}
      <Announcer state={state} />
      <ChatAnnouncer chat={chat} />
      <div className="bar">
        <span className="about">
          <strong>{meeting.title}</strong>
          {call.isEncrypted && <Lock />}
          {meeting.locked && <span className="faint">{t("locked")}</span>}
          <span className="faint code">{meeting.name.replace("meetings/", "")}</span>
        </span>
        <div className="controls">
          <ControlButton
            icon={muted ? "micOff" : "mic"}
            label={may.has("microphone") ? (muted ? t("unmute") : t("mute")) : t("microphoneTaken")}
            shortcut="M"
            off={muted}
            disabled={!may.has("microphone")}
            onClick={toggleMicrophone}
          />
          <ControlButton
            icon={picture === null ? "cameraOff" : "camera"}
            label={may.has("camera") ? (video.on ? t("turnOffCamera") : t("turnOnCamera")) : t("cameraTaken")}
            shortcut="V"
            off={picture === null}
            disabled={!may.has("camera")}
            onClick={toggleCamera}
          />
          {canShare() && (
            <ControlButton
              icon={screen.on ? "screenOff" : "screen"}
              label={may.has("screen") ? (screen.on ? t("stopSharing") : t("share")) : t("screenTaken")}
              shortcut="S"
              disabled={!may.has("screen")}
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
            expanded={isOpen("transcript")}
            onClick={toggleTranscript}
          />
          <ControlButton
            icon="chat"
            label={unread === 0 ? t("chat") : t("chatUnread", { count: unread })}
            badge={unread === 0 ? undefined : unread}
            shortcut="W"
            expanded={isOpen("chat")}
            onClick={toggleChat}
          />
          <ControlButton
            icon="hand"
            label={t(isRaised ? "handLower" : "handRaise")}
            shortcut="H"
            pressed={isRaised}
            onClick={toggleHand}
          />
          <ReactionsMenu isOpen={isReacting} setOpen={setReacting} react={react} />
          <ControlButton
            icon="poll"
            label={waiting === 0 ? t("polls") : t("pollsUnanswered", { count: waiting })}
            badge={waiting === 0 ? undefined : waiting}
            shortcut="Q"
            expanded={isOpen("polls")}
            onClick={togglePolls}
          />
          <ControlButton
            icon="notes"
            label={t("notes")}
            shortcut="E"
            expanded={isOpen("notes")}
            onClick={toggleNotes}
          />
          <ControlButton icon="link" label={copied ? t("copied") : t("copyLink")} onClick={() => attempt(invite())} />
          <ControlButton
            icon="people"
            label={t("people", { count: state.participants.length })}
            badge={state.participants.length}
            shortcut="P"
            expanded={isOpen("people")}
            onClick={toggleList}
          />
          <ControlButton icon="leave" label={t("leave")} shortcut="Shift+L" danger onClick={leave} />
        </div>
        <span className="end">
          <button
            type="button"
            className="quiet"
            aria-label={t("statistics")}
            aria-expanded={isOpen("statistics")}
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
