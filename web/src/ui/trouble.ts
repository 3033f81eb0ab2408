/** What is wrong with the way to the others, in words. Pure. */
import type { CallState } from "../call/call";
import { ConnectionQuality } from "../gen/parley/signaling/v1/signaling_pb";
import type { Words } from "../i18n";

export interface Trouble {
  /** Empty where all is well. */
  readonly text: string;
  /** Whether it is for the person to say when to try again. */
  readonly canTryAgain: boolean;
}

type Seen = Pick<CallState, "phase" | "media" | "refusal" | "qualities" | "me">;

export function troubleOf(state: Seen, online: boolean, words: Words): Trouble {
  const canTryAgain = online && state.phase === "live" && (state.media === "failed" || state.media === "blocked");
  return { text: textOf(state, online, words), canTryAgain };
}

function textOf({ phase, media, refusal, qualities, me }: Seen, online: boolean, { t, explain }: Words): string {
  if (!online) return t("offline");
  if (phase === "joining") return t("joining");
  if (phase === "reconnecting") return t("reconnecting");
  switch (media) {
    case "building":
      return refusal === undefined ? "" : t("mediaDelayed", { reason: explain(refusal) });
    case "interrupted":
      return t("mediaInterrupted");
    case "blocked":
      return t("mediaBlocked");
    case "failed":
      return refusal === undefined ? t("mediaFailed") : t("mediaFailedFor", { reason: explain(refusal) });
    case "up":
      return isPoor(qualities.get(me)) ? t("connectionPoor") : "";
  }
}

function isPoor(quality: ConnectionQuality | undefined): boolean {
  return quality === ConnectionQuality.POOR || quality === ConnectionQuality.LOST;
}
