/** The web addresses in a text that somebody wrote: which of it may be clicked. Pure. */

/** A stretch of a text, and where it leads; undefined: it is plain. */
export interface Stretch {
  readonly text: string;
  readonly href: string | undefined;
}

/** Up to a space, a quote or a mark of fullwidth punctuation, and without signs that can't be seen or turn the text around. */
const ADDRESS = /\bhttps?:\/\/[^\s\p{Cf}<>"“”'‘’`{}|\\^\u3000-\u303f\uff00-\uff65]+/giu;
/** What ends a sentence rather than an address. */
const TAIL = /[.,;:!?)\]…]/u;

/** Cut a text at its addresses. */
export function stretches(text: string): Stretch[] {
  const found: Stretch[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutTail(match[0]);
    if (!isSafe(address)) continue;
    found.push({ text: text.slice(end, match.index), href: undefined }, { text: address, href: address });
    end = match.index + address.length;
  }
  return [...found, { text: text.slice(end), href: undefined }].filter((stretch) => stretch.text !== "");
}

/** Take off the punctuation after an address, but not the bracket that closes one within it. */
function withoutTail(address: string): string {
  let left = address;
  while (TAIL.test(left.slice(-1)) && !(left.endsWith(")") && count(left, "(") >= count(left, ")"))) left = left.slice(0, -1);
  return left;
}

/** Whether an address leads where it seems to: a name before an @ looks like a host and is none. */
function isSafe(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, username, password } = new URL(address);
  return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
}

function count(text: string, letter: string): number {
  return text.split(letter).length - 1;
}
