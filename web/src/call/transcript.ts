/** What was said so far: what the meeting has kept, and what was heard since, as one list in order of time. Pure. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { TranscriptSegment } from "../gen/parley/meeting/v1/transcript_pb";
import { type Line, textIn } from "./captions";

export interface Entry {
  readonly key: string;
  readonly participant: string;
  readonly displayName: string;
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly began: number;
}

/** A stretch of a text that is what is looked for, or is not. */
export interface Piece {
  readonly text: string;
  readonly isHit: boolean;
}

/** Media and signaling have different ways: the same words of the same person within this time are the same. */
const SAME_MS = 5_000;

export function keptEntry(segment: TranscriptSegment): Entry {
  const { name, participant, displayName, text, startTime } = segment;
  return { key: name, participant, displayName, text, began: startTime === undefined ? 0 : timestampMs(startTime) };
}

/** Join what is kept and what was heard, where the latter may be among the former already. */
export function entriesOf(
  kept: readonly Entry[],
  lines: readonly Line[],
  language: string,
  nameOf: (participant: string) => string,
): Entry[] {
  const known = new Map<string, number[]>();
  for (const each of kept) known.set(wordsOf(each), [...(known.get(wordsOf(each)) ?? []), each.began]);
  const isKept = (line: Line) => known.get(wordsOf(line))?.some((began) => Math.abs(began - line.began) < SAME_MS) ?? false;
  const heard = lines
    .filter((line) => line.isFinal && !isKept(line))
    .map((line) => ({
      key: line.key,
      participant: line.participant,
      displayName: nameOf(line.participant),
      text: textIn(line, language),
      began: line.began,
    }));
  return [...kept, ...heard].sort((one, other) => one.began - other.began);
}

/** Cut a text at what is looked for, whatever its case; nothing is looked for by an empty query. */
export function pieces(text: string, query: string): Piece[] {
  const words = query.trim();
  if (words === "") return [{ text, isHit: false }];
  return text
    .split(new RegExp(`(${words.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")})`, "giu"))
    .map((part, index) => ({ text: part, isHit: index % 2 === 1 }))
    .filter((piece) => piece.text !== "");
}

/** Only what contains the query. */
export function found(entries: readonly Entry[], query: string): readonly Entry[] {
  return query.trim() === "" ? entries : entries.filter(({ text }) => pieces(text, query).some(({ isHit }) => isHit));
}

/** The entry that was begun last at `time`, or the first one after it. */
export function entryAt(entries: readonly Entry[], time: number): Entry | undefined {
  return entries.filter(({ began }) => began <= time).at(-1) ?? entries[0];
}

/** Milliseconds as a clock that counts from nought: `1:02:03`, `02:03`. */
export function clock(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(seconds / 3600);
  return [...(hours > 0 ? [String(hours)] : []), ...parts].join(":");
}

function wordsOf({ participant, text }: { readonly participant: string; readonly text: string }): string {
  return `${participant} ${text}`;
}
