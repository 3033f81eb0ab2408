/** What one's own face shows, for nobody else; and for hosts, what the faces in the room show on average. */
import { useEffect, useState, useSyncExternalStore } from "react";
import type { Call } from "../call/call";
import { nameOf, sharesOf } from "../call/mood";
import { useI18n } from "../i18n";

/** What was read longer ago is not what a face shows. */
const STALE_MS = 15_000;

/** The meter of one's own face. */
export function OwnEmotion({ call }: { call: Call }) {
  const { t } = useI18n();
  const emotion = useFresh(useSyncExternalStore(call.heard.subscribe, call.heard.snapshot).emotion);
  const name = nameOf(emotion);
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

/** A finding for as long as it is not stale. */
function useFresh<T>(finding: T | undefined): T | undefined {
  const [stale, setStale] = useState<T>();
  useEffect(() => {
    const timer = setTimeout(() => setStale(finding), STALE_MS);
    return () => clearTimeout(timer);
  }, [finding]);
  return finding === stale ? undefined : finding;
}
