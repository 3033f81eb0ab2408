/** The call itself: a stage with a tile for everyone, and the buttons below. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { meetings } from "../api/client";
import type { Call, CallState } from "../call/call";
import type { Meeting } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import type { Device } from "./devices";
import { Icon } from "./icons";
import { People } from "./people";
import { Confirm, ControlButton, Problem } from "./parts";
import { Stage } from "./stage";

interface CallViewProps {
  call: Call;
  meeting: Meeting;
  isHost: boolean;
  audio: Device;
  video: Device;
}

export function CallView({ call, meeting, isHost, audio, video }: CallViewProps) {
  const { t, explain } = useI18n();
  const state = useSyncExternalStore(call.subscribe, call.snapshot);
  const [silenced, setSilenced] = useState(false);
  const [problem, setProblem] = useState("");
  const [copied, setCopied] = useState(false);
  const [isEnding, setEnding] = useState(false);
  const [isListed, setListed] = useState(false);
  /** What was wrong before the call has been said there. */
  const [known] = useState([audio.problem, video.problem]);
  const muted = silenced || !audio.on;

  const attempt = useCallback(
    (work: Promise<unknown>) => {
      setProblem("");
      work.catch((error: unknown) => setProblem(explain(error)));
    },
    [explain],
  );
  useEffect(() => attempt(call.setOwn("audio", audio.track)), [attempt, call, audio.track]);
  useEffect(() => attempt(call.setOwn("video", video.track)), [attempt, call, video.track]);

  const toggleMicrophone = () => {
    if (audio.on) attempt(call.mute("audio", !silenced));
    else void audio.turnOn();
    setSilenced(audio.on && !silenced);
  };
  const toggleCamera = () => {
    if (video.on) video.turnOff();
    else void video.turnOn();
  };
  const toggleList = () => setListed(!isListed);
  const leave = () => call.leave();
  useShortcuts({ m: toggleMicrophone, v: toggleCamera, p: toggleList, "shift+l": leave });

  const share = async () => {
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
  const trouble = [audio.problem, video.problem].find((each) => each !== undefined && !known.includes(each));
  return (
    <section className="call" aria-label={meeting.title}>
      <Banner state={state} rebuild={() => void call.buildMedia()} />
      <Problem text={problem} />
      {trouble !== undefined && <Problem text={t(`media.${trouble.problem}.${trouble.kind}`)} />}
      <div className="middle">
        <Stage state={state} own={video.track} ownMuted={muted} />
        {isListed && <People state={state} ownMuted={muted} close={toggleList} />}
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
          <ControlButton icon="link" label={copied ? t("copied") : t("copyLink")} onClick={() => attempt(share())} />
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
          {isHost && (
            <button type="button" className="quiet" onClick={() => setEnding(true)}>
              {t("endForAll")}
            </button>
          )}
        </span>
      </div>
      {isEnding && <Confirm text={t("endForAllSure")} action={t("endForAll")} done={end} />}
    </section>
  );
}

/** Says that the call is encrypted and, when opened, what that means. */
function Lock() {
  const { t } = useI18n();
  return (
    <details className="lock">
      <summary>
        <Icon name="lock" />
        {t("encrypted")}
      </summary>
      <div className="card">
        <p>{t("encryptedMeans")}</p>
        <p>{t("encryptedOff")}</p>
        <p>{t("encryptedLink")}</p>
      </div>
    </details>
  );
}

/** What is wrong with the way to the others, if anything is. */
function Banner({ state, rebuild }: { state: CallState; rebuild: () => void }) {
  const { t } = useI18n();
  const online = useSyncExternalStore(subscribeToNetwork, () => navigator.onLine);
  const text = () => {
    if (!online) return t("offline");
    if (state.phase === "joining") return t("joining");
    if (state.phase === "reconnecting") return t("reconnecting");
    if (state.media === "interrupted") return t("mediaInterrupted");
    return state.media === "failed" ? t("mediaFailed") : "";
  };
  return (
    <div className="banner" role="status">
      {text()}
      {online && state.media === "failed" && (
        <button type="button" className="link" onClick={rebuild}>
          {t("tryAgain")}
        </button>
      )}
    </div>
  );
}

/** Tells those who can't see the stage who comes and goes. */
function Announcer({ state: { news } }: { state: CallState }) {
  const { t } = useI18n();
  return (
    <p className="unseen" aria-live="polite">
      {news !== undefined && (
        <span key={news.count}>{t(news.kind === "joined" ? "newsJoined" : "newsLeft", { name: news.displayName })}</span>
      )}
    </p>
  );
}

function useShortcuts(shortcuts: Record<string, () => void>): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      shortcuts[(event.shiftKey ? "shift+" : "") + event.key.toLowerCase()]?.();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
}

function subscribeToNetwork(listener: () => void): () => void {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
}
