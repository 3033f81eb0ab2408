/**
 * Who sits on which page of the stage. Seats are kept: only a speaker whom nobody would see changes places, with the
 * one of the first page who has been silent for longest. Pure.
 */

export interface Seats {
  readonly order: readonly string[];
  /** When each last spoke, as a count of changes. */
  readonly spoke: ReadonlyMap<string, number>;
}

export interface Room {
  /** All that have a seat. */
  readonly present: readonly string[];
  /** Those of them who sit in front and stay there. */
  readonly fixed: ReadonlySet<string>;
  readonly speakers: ReadonlySet<string>;
}

export const NO_SEATS: Seats = { order: [], spoke: new Map() };

/** Seat those who are present, on pages of a size, while one page is looked at. The same seats are the same object. */
export function seat(seats: Seats, room: Room, size: number, page: number): Seats {
  const spoke = spoken(seats, room);
  const order = placed(seats.order, room);
  const isSeen = (place: number) => place < size || Math.floor(place / size) === page;
  for (const speaker of order.filter((name) => room.speakers.has(name))) {
    const from = order.indexOf(speaker);
    if (isSeen(from)) continue;
    const to = longestSilent(order.slice(0, size), room, spoke);
    if (to === -1) break;
    [order[from], order[to]] = [order[to] ?? "", speaker];
  }
  return isSame(seats.order, order) && spoke === seats.spoke ? seats : { order, spoke };
}

/** The seats of a page, and how many pages there are; a page that is no more is the last. */
export function pageOf(order: readonly string[], size: number, page: number): { names: string[]; page: number; count: number } {
  const count = Math.max(1, Math.ceil(order.length / size));
  const shown = Math.min(page, count - 1);
  return { names: order.slice(shown * size, (shown + 1) * size), page: shown, count };
}

function placed(order: readonly string[], { present, fixed }: Room): string[] {
  const kept = order.filter((name) => present.includes(name));
  const added = present.filter((name) => !order.includes(name));
  const inFront = (name: string) => fixed.has(name);
  return [...added.filter(inFront), ...kept, ...added.filter((name) => !inFront(name))];
}

function spoken(seats: Seats, { present, speakers }: Room): ReadonlyMap<string, number> {
  const latest = Math.max(0, ...seats.spoke.values());
  const speaking = present.filter((name) => speakers.has(name));
  const isKnown = speaking.every((name) => seats.spoke.get(name) === latest);
  const isGone = [...seats.spoke.keys()].some((name) => !present.includes(name));
  if (isKnown && !isGone) return seats.spoke;
  const spoke = new Map([...seats.spoke].filter(([name]) => present.includes(name)));
  for (const name of speaking) spoke.set(name, latest + (isKnown ? 0 : 1));
  return spoke;
}

function longestSilent(first: readonly string[], { fixed, speakers }: Room, spoke: ReadonlyMap<string, number>): number {
  const since = (name: string) => spoke.get(name) ?? 0;
  const silent = first.filter((name) => !fixed.has(name) && !speakers.has(name));
  const least = Math.min(...silent.map(since));
  return first.lastIndexOf(silent.filter((name) => since(name) === least).at(-1) ?? "");
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, place) => name === other[place]);
}
