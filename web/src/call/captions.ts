/**
 * What is said in a room, as text: a line for each segment of somebody's speech, the newest last. A line changes while
 * it is said, and a translation may come after its last word. Pure: nothing is changed in place.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Caption } from "../gen/parley/signaling/v1/signaling_pb";

export interface Line {
  /** The same for all hypotheses of a segment. */
  readonly key: string;
  readonly participant: string;
  readonly text: string;
  /** How many characters of the text (code points) will not change any more. */
  readonly stableLength: number;
  readonly isFinal: boolean;
  /** By language, as BCP 47. */
  readonly translations: Readonly<Record<string, string>>;
  /** When it was begun to be said, in milliseconds since 1970 by the server's clock. */
  readonly began: number;
  /** When it last changed, by our own. */
  readonly changed: number;
}

/** A line over the stage. */
export interface Shown extends Line {
  readonly isFading: boolean;
}

/** More are not kept here: the meeting keeps a transcript if it is to. */
const KEPT = 2_000;
const SHOWN = 3;
const LINGER_MS = 8_000;
const FADE_MS = 1_000;

/**
 * Take in a caption that came at `now`, and that the server told at `told` by its clock. A final text is never replaced
 * by an earlier guess; one without text is withdrawn.
 */
export function captioned(lines: readonly Line[], caption: Caption, now: number, told = now): readonly Line[] {
  const { participant, trackId, speech, translations } = caption;
  if (speech === undefined) return lines;
  const key = `${trackId} ${speech.segment}`;
  const before = lines.find((line) => line.key === key);
  if (before?.isFinal === true && !speech.final) return lines;
  const lasted = ms(speech.endTime) - ms(speech.startTime);
  const line: Line = {
    key,
    participant,
    text: speech.text,
    stableLength: speech.final ? Array.from(speech.text).length : speech.stableLength,
    isFinal: speech.final,
    translations: { ...before?.translations, ...translations },
    began: before?.began ?? told - Math.max(0, lasted),
    changed: now,
  };
  if (line.text === "") return lines.filter((each) => each !== before);
  if (before !== undefined) return lines.map((each) => (each === before ? line : each));
  return [...lines, line].slice(-KEPT);
}

/** The last lines that are not too old to be shown over the stage. */
export function shown(lines: readonly Line[], now: number): Shown[] {
  return lines
    .filter(({ changed }) => now - changed < LINGER_MS)
    .slice(-SHOWN)
    .map((line) => ({ ...line, isFading: now - line.changed >= LINGER_MS - FADE_MS }));
}

/** In how many milliseconds `shown` gives something else by itself; undefined when it has nothing to give. */
export function untilOlder(lines: readonly Shown[], now: number): number | undefined {
  if (lines.length === 0) return undefined;
  return Math.min(...lines.map(({ changed, isFading }) => changed + LINGER_MS - (isFading ? 0 : FADE_MS) - now));
}

/** The text in a language, or as it was spoken where there is no translation, or not yet. */
export function textIn(line: Line, language: string): string {
  return line.translations[language] ?? line.text;
}

/** What of a line as it is spoken stands, and what may still change. */
export function split({ text, stableLength }: Line): { stable: string; guess: string } {
  const characters = Array.from(text);
  return { stable: characters.slice(0, stableLength).join(""), guess: characters.slice(stableLength).join("") };
}

function ms(duration: Parameters<typeof durationMs>[0] | undefined): number {
  return duration === undefined ? 0 : durationMs(duration);
}
