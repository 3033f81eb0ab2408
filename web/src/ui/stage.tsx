/** The stage: a tile for everyone, all as large as they can be. */
import { useLayoutEffect, useRef } from "react";
import { type CallState, trackOf } from "../call/call";
import { streamName } from "../call/e2ee/encryption";
import type { Participant } from "../gen/parley/meeting/v1/meeting_pb";
import { type Track, TrackKind } from "../gen/parley/signaling/v1/signaling_pb";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import { layoutOf, ratioOf } from "./layout";
import { Playing } from "./parts";

const GAP = 10;

interface StageProps {
  state: CallState;
  own: MediaStreamTrack | null;
  ownMuted: boolean;
}

export function Stage({ state, own, ownMuted }: StageProps) {
  const stage = useRef<HTMLUListElement>(null);
  const count = state.participants.length;
  useLayoutEffect(() => {
    const element = stage.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => arrange(element, count));
    observer.observe(element);
    return () => observer.disconnect();
  }, [count]);
  return (
    <ul ref={stage} className="stage">
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

function arrange(stage: HTMLElement, count: number): void {
  const { clientWidth, clientHeight } = stage;
  const { width } = layoutOf(count, clientWidth, clientHeight, GAP);
  stage.style.setProperty("--tile-width", `${width}px`);
  stage.style.setProperty("--tile-ratio", String(ratioOf(clientWidth, clientHeight)));
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
  const isUndecryptable = [camera, microphone].some(
    (track) => track !== undefined && !track.muted && state.undecryptable.has(streamName(track)),
  );
  const speaking = state.speakers.has(participant.name) && !muted;
  return (
    <li
      className={speaking ? "tile speaking" : "tile"}
      data-participant={participant.name}
      aria-label={speaking ? `${participant.displayName}, ${t("speaking")}` : participant.displayName}
    >
      {picture === null || isUndecryptable ? (
        <span className={`initial hue-${hueOf(participant.name)}`} aria-hidden="true">
          {Array.from(participant.displayName)[0]?.toUpperCase()}
        </span>
      ) : (
        <Playing track={picture} mirrored={own !== undefined} />
      )}
      {sound !== null && <Playing track={sound} />}
      {isUndecryptable && (
        <p className="undecryptable" role="status">
          <Icon name="lock" />
          {t("undecryptable")}
        </p>
      )}
      <span className="name">
        {muted && (
          <span role="img" aria-label={t("muted")}>
            <Icon name="micOff" />
          </span>
        )}
        <span className="cut">
          {participant.displayName}
          {own !== undefined && ` (${t("you")})`}
        </span>
      </span>
    </li>
  );
}

/** What arrives of a track; null while it is muted or not there yet. */
function received(state: CallState, track: Track | undefined): MediaStreamTrack | null {
  return track === undefined || track.muted ? null : (state.received.get(track.id) ?? null);
}

/** One of six colours, the same for a participant on everyone's screen. */
function hueOf(participant: string): number {
  return Array.from(participant).reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % 6;
}
