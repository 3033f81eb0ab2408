/** The call itself: a tile for everyone, and the buttons below. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { meetings } from "../api/client";
import { type Call, type CallState, trackOf } from "../call/call";
import type { Meeting, Participant } from "../gen/parley/meeting/v1/meeting_pb";
import { TrackKind } from "../gen/parley/signaling/v1/signaling_pb";
import { useI18n } from "../i18n";
import type { Device } from "./devices";
import { Icon } from "./icons";
import { ControlButton, Playing, Problem } from "./parts";

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
  const [muted, setMuted] = useState(!audio.on);
  const [problem, setProblem] = useState("");
  const [copied, setCopied] = useState(false);
  const online = useSyncExternalStore(subscribeToNetwork, () => navigator.onLine);

  const attempt = useCallback(
    (work: Promise<unknown>) => {
      setProblem("");
      work.catch((error: unknown) => setProblem(explain(error)));
    },
    [explain],
  );
  const toggleMicrophone = useCallback(() => {
    const toggle = async () => {
      if (audio.track === null) {
        await call.setOwn("audio", await audio.turnOn());
        setMuted(false);
      } else {
        setMuted(!muted);
        await call.mute("audio", !muted);
      }
    };
    attempt(toggle());
  }, [attempt, audio, call, muted]);
  const toggleCamera = useCallback(() => {
    const toggle = async () => {
      if (video.on) {
        await call.setOwn("video", null);
        video.turnOff();
      } else await call.setOwn("video", await video.turnOn());
    };
    attempt(toggle());
  }, [attempt, call, video]);
  useShortcuts({ m: toggleMicrophone, v: toggleCamera });

  const share = () =>
    attempt(
      navigator.clipboard.writeText(location.href).then(() => {
        setCopied(true);
        setTimeout(() => setCopied(false), 2000);
      }),
    );
  const end = () => {
    if (confirm(t("endForAllSure"))) attempt(meetings.endMeeting({ name: meeting.name }));
  };
  const trouble = [audio.problem, video.problem].find((each) => each !== undefined);
  return (
    <section className="call" aria-label={meeting.title}>
      <div className="banner" role="status">
        {!online ? t("offline") : state.phase === "reconnecting" ? t("reconnecting") : ""}
        {state.phase === "joining" && t("joining")}
      </div>
      <Problem text={problem} />
      {trouble !== undefined && <Problem text={t(`media.${trouble.problem}.${trouble.kind}`)} />}
      <Grid state={state} own={video.track} ownMuted={muted} />
      {state.participants.length === 1 && <p className="faint center-text">{t("alone")}</p>}
      <div className="bar">
        <span className="faint" aria-live="polite">
          {t("people", { count: state.participants.length })}
        </span>
        <div className="controls">
          <ControlButton
            icon={muted ? "micOff" : "mic"}
            label={muted ? t("unmute") : t("mute")}
            shortcut="M"
            pressed={muted}
            onClick={toggleMicrophone}
          />
          <ControlButton
            icon={video.on ? "camera" : "cameraOff"}
            label={video.on ? t("turnOffCamera") : t("turnOnCamera")}
            shortcut="V"
            pressed={!video.on}
            onClick={toggleCamera}
          />
          <ControlButton icon="link" label={copied ? t("copied") : t("copyLink")} onClick={share} />
          <ControlButton icon="leave" label={t("leave")} danger onClick={() => call.leave()} />
        </div>
        <span className="end">
          {isHost && (
            <button type="button" className="quiet" onClick={end}>
              {t("endForAll")}
            </button>
          )}
        </span>
      </div>
    </section>
  );
}

function Grid({ state, own, ownMuted }: { state: CallState; own: MediaStreamTrack | null; ownMuted: boolean }) {
  const columns = Math.min(7, Math.ceil(Math.sqrt(state.participants.length)));
  return (
    <ul className={`grid columns-${columns}`}>
      {state.participants.map((participant) => (
        <Tile
          key={participant.name}
          participant={participant}
          state={state}
          own={participant.name === state.me ? { video: own, muted: ownMuted } : undefined}
        />
      ))}
    </ul>
  );
}

interface TileProps {
  participant: Participant;
  state: CallState;
  own: { video: MediaStreamTrack | null; muted: boolean } | undefined;
}

function Tile({ participant, state, own }: TileProps) {
  const { t } = useI18n();
  const camera = trackOf(state, participant.name, TrackKind.VIDEO);
  const microphone = trackOf(state, participant.name, TrackKind.AUDIO);
  const picture = own === undefined ? received(state, camera) : own.video;
  const sound = own === undefined ? received(state, microphone) : null;
  const muted = own === undefined ? microphone === undefined || microphone.muted : own.muted;
  const speaking = state.speakers.has(participant.name);
  return (
    <li
      className={speaking ? "tile speaking" : "tile"}
      data-participant={participant.name}
      aria-label={speaking ? `${participant.displayName}, ${t("speaking")}` : participant.displayName}
    >
      {picture === null ? (
        <span className="initial" aria-hidden="true">
          {Array.from(participant.displayName)[0]?.toUpperCase()}
        </span>
      ) : (
        <Playing track={picture} mirrored={own !== undefined} />
      )}
      {sound !== null && <Playing track={sound} />}
      <span className="name">
        {muted && (
          <span role="img" aria-label={t("muted")}>
            <Icon name="micOff" />
          </span>
        )}
        {participant.displayName}
        {own !== undefined && ` (${t("you")})`}
      </span>
    </li>
  );
}

/** What arrives of a track; null while it is muted or not there yet. */
function received(state: CallState, track: { id: string; muted: boolean } | undefined): MediaStreamTrack | null {
  return track === undefined || track.muted ? null : (state.received.get(track.id) ?? null);
}

function useShortcuts(shortcuts: Record<string, () => void>): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      shortcuts[event.key.toLowerCase()]?.();
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
