/** What faces show, by name, and how that is told of a room. Pure. */
import { Emotion } from "../gen/parley/ai/v1/ai_pb";
import type { EmotionDetected, RoomMood } from "../gen/parley/signaling/v1/signaling_pb";

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
export type Name = (typeof NAMES)[Emotion];

/** Name what a face shows; without one nothing is certain. */
export function nameOf(detected: EmotionDetected | undefined): Name {
  return NAMES[detected?.emotion ?? Emotion.UNCERTAIN];
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
