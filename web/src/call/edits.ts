/** How one text became another, and where a place in it is after changes by others. Pure; places are UTF-16 offsets. */

/** At `start`, `removed` characters gave way to `inserted`. */
export interface Edit {
  readonly start: number;
  readonly removed: number;
  readonly inserted: string;
}

/** A change as Yjs tells it (the Quill delta format, without formats). */
export type Delta = readonly { readonly retain?: number; readonly insert?: unknown; readonly delete?: number }[];

/** Find the one edit that makes `after` of `before`; no pair of surrogates is cut in two, as Yjs could not keep its halves. */
export function difference(before: string, after: string): Edit {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  if (isWithinPair(before, start) || isWithinPair(after, start)) start--;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  if (isWithinPair(before, before.length - end) || isWithinPair(after, after.length - end)) end--;
  return { start, removed: before.length - start - end, inserted: after.slice(start, after.length - end) };
}

/** Tell where a place is after a change; what is put in right there comes after it. */
export function moved(place: number, delta: Delta): number {
  let at = 0;
  let after = place;
  for (const { retain, insert, delete: removed } of delta) {
    if (retain !== undefined) at += retain;
    else if (typeof insert === "string") {
      if (at < after) after += insert.length;
      at += insert.length;
    } else if (removed !== undefined && at < after) after -= Math.min(removed, after - at);
  }
  return after;
}

/** Cut a text into pieces of at most `most` characters, and no pair of surrogates. */
export function chunks(text: string, most: number): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = Math.min(start + most, text.length);
    const cut = isWithinPair(text, end) ? end - 1 : end;
    pieces.push(text.slice(start, cut));
    start = cut;
  }
  return pieces;
}

function isWithinPair(text: string, place: number): boolean {
  return place > 0 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(place - 1, place + 1));
}
