/** What one's own face shows, for nobody else; and for hosts, what the faces in the room show on average. */
import { useEffect, useState, useSyncExternalStore } from "react";
import type { Call } from "../call/call";
import { Emotion } from "../gen/parley/ai/v1/ai_pb";
import type { RoomMood } from "../gen/parley/signaling/v1/signaling_pb";
import { useI18n } from "../i18n";

const NAMES = {
  [Emotion.UNSPECIFIED]: "uncertain",
  [Emotion.UNCERTAIN]: "uncertain",
  [Emotion.NEUTRAL]: "neutral",
  [Emotion.HAPPY]: "happy",
  [Emotion.SAD]: "sad",
  [Emotion.ANGRY]: "angry",
  [Emotion.FEARFUL]: "fearful",
  [Emotion.DISGUSTED]: "disgusted",
  [Emotion.SURPRISED]: "surprised",
} as const;
type Name = (typeof NAMES)[Emotion];
/** What was read longer ago is not what a face shows. */
const STALE_MS = 15_000;

/** The meter of one's own face. */
export function OwnEmotion({ call }: { call: Call }) {
  const { t } = useI18n();
  const emotion = useFresh(useSyncExternalStore(call.heard.subscribe, call.heard.snapshot).emotion);
  const name: Name = NAMES[emotion?.emotion ?? Emotion.UNCERTAIN];
  const isCertain = emotion !== undefined && name !== "uncertain";
  return (
    <span className="mood" title={t("ownEmotionOnly")}>
      <span>
        {t("ownEmotion")}: <strong>{emotion === undefined ? t("noFace") : t(`emotion.${name}`)}</strong>
      </span>
      {isCertain && <meter min={0} max={1} value={emotion.confidence} aria-label={t("ownEmotion")} />}
    </span>
  );
}

/** The mood of the room, as a bar of shares. */
export function Mood({ call }: { call: Call }) {
  const { t } = useI18n();
  const mood = useFresh(useSyncExternalStore(call.heard.subscribe, call.heard.snapshot).mood);
  if (mood === undefined) return null;
  const count = mood.participantCount;
  const shares = sharesOf(mood);
  const words = shares.map(({ name, percent }) => `${t(`emotion.${name}`)} ${percent} %`).join(", ");
  return (
    <span className="mood" title={`${words}. ${t("roomMoodOnly", { count })}`}>
      <span>
        {t("roomMood", { count })}: <strong>{words}</strong>
      </span>
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        {shares.map(({ name, percent, from }) => (
          <rect key={name} className={name} x={from} width={percent} height="8" />
        ))}
      </svg>
    </span>
  );
}

/** The shares that are worth telling, the largest first, and where each begins on a bar of 100. */
export function sharesOf({ shares }: Pick<RoomMood, "shares">): { name: Name; percent: number; from: number }[] {
  const known = Object.values(NAMES);
  const told = Object.entries(shares)
    .flatMap(([key, share]) => known.filter((each) => each === key).slice(0, 1).map((name) => ({ name, percent: Math.round(100 * share) })))
    .filter(({ percent }) => percent >= 5)
    .sort((one, other) => other.percent - one.percent);
  return told.map((share, index) => ({ ...share, from: told.slice(0, index).reduce((sum, { percent }) => sum + percent, 0) }));
}

/** A finding for as long as it is not stale. */
function useFresh<T>(finding: T | undefined): T | undefined {
  const [stale, setStale] = useState<T>();
  useEffect(() => {
    const timer = setTimeout(() => setStale(finding), STALE_MS);
    return () => clearTimeout(timer);
  }, [finding]);
  return finding === stale ? undefined : finding;
}
