/**
 * The stage: a tile for everyone and for every screen that is shown, on pages, all as large as they can be; or one of
 * them large, and the others in a strip beside it.
 */
import { type CSSProperties, type RefObject, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { CallState } from "../call/call";
import { trackOf } from "../call/room";
import type { Wishes } from "../call/wishes";
import { useI18n } from "../i18n";
import { capacityOf, isNarrow, layoutOf, ratioOf, stripOf } from "./layout";
import { ControlButton } from "./parts";
import { NO_SEATS, pageOf, seat, type Seats } from "./seats";
import { useShortcuts } from "./shortcuts";
import { type Item, Tile } from "./tile";

const GAP = 10;

interface StageProps {
  state: CallState;
  wishes: Wishes;
  own: MediaStreamTrack | null;
  ownMuted: boolean;
}

export function Stage({ state, wishes, own, ownMuted }: StageProps) {
  const stage = useRef<HTMLUListElement>(null);
  const { width, height } = useSize(stage);
  const items = useMemo(() => itemsOf(state), [state]);
  const { pinned, toggle } = usePin(items);
  const others = items.filter(({ key }) => key !== pinned);
  const strip = stripOf(width, height, GAP);
  const size = pinned === undefined ? capacityOf(width, height, GAP) : strip.capacity;
  const { keys, page, count, turn } = usePages(others, state, size);
  usePageVisibility(wishes);

  const shown = items.filter(({ key }) => key === pinned || keys.includes(key)).sort(byPlace([pinned ?? "", ...keys]));
  const tile = pinned === undefined ? layoutOf(keys.length, width, height, GAP).width : strip.width;
  const sides = isNarrow(width, height) ? "below" : "beside";
  return (
    <div className="seating">
      <ul
        ref={stage}
        className={pinned === undefined ? "stage" : `stage one-large ${sides}`}
        style={
          {
            "--tile-width": `${tile}px`,
            "--tile-ratio": ratioOf(width, height),
            "--tiles": Math.max(1, keys.length),
          } as CSSProperties
        }
      >
        {shown.map((item) => (
          <Tile
            key={item.key}
            item={item}
            state={state}
            wishes={wishes}
            own={item.participant.name === state.me ? { video: own, muted: ownMuted } : undefined}
            isPinned={item.key === pinned}
            pin={() => toggle(item.key)}
          />
        ))}
      </ul>
      {count > 1 && <Pager page={page} count={count} turn={turn} />}
    </div>
  );
}

function Pager({ page, count, turn }: { page: number; count: number; turn: (pages: number) => void }) {
  const { t } = useI18n();
  return (
    <nav className="pager" aria-label={t("pages")}>
      <ControlButton
        icon="previous"
        label={t("previousPage")}
        shortcut="PageUp"
        disabled={page === 0}
        onClick={() => turn(-1)}
      />
      <span role="status">{t("pageOf", { page: page + 1, count })}</span>
      <ControlButton
        icon="next"
        label={t("nextPage")}
        shortcut="PageDown"
        disabled={page === count - 1}
        onClick={() => turn(1)}
      />
    </nav>
  );
}

/** Everybody, and the screens of the others: one's own would be a mirror in a mirror. */
function itemsOf(state: CallState): Item[] {
  const own = state.participants.filter(({ name }) => name === state.me);
  const others = state.participants.filter(({ name }) => name !== state.me);
  const screens = others.filter(({ name }) => trackOf(state, name, "screen") !== undefined);
  return [
    ...screens.map((participant) => ({ key: `${participant.name} screen`, participant, source: "screen" as const })),
    ...[...own, ...others].map((participant) => ({ key: participant.name, participant, source: "camera" as const })),
  ];
}

function byPlace(keys: readonly string[]): (one: Item, other: Item) => number {
  return (one, other) => keys.indexOf(one.key) - keys.indexOf(other.key);
}

/** Which tile is large: the one that was chosen; without a choice the screen that was shown last. */
function usePin(items: readonly Item[]): { pinned: string | undefined; toggle: (key: string) => void } {
  const [choice, setChoice] = useState<{ key: string | undefined; screens: string }>();
  const screens = items.filter(({ source }) => source === "screen").map(({ key }) => key);
  // A choice holds until it is gone, or until somebody else shows a screen.
  const holds = choice !== undefined && screens.every((key) => choice.screens.includes(key));
  const wanted = holds ? choice.key : screens.at(-1);
  const pinned = items.some(({ key }) => key === wanted) ? wanted : undefined;
  const toggle = (key: string) =>
    setChoice({ key: key === pinned ? undefined : key, screens: screens.join("\n") });
  return { pinned, toggle };
}

/** Seats on pages, and which page is looked at. */
function usePages(items: readonly Item[], { me, speakers }: CallState, size: number) {
  const [seats, setSeats] = useState<Seats>(NO_SEATS);
  const [wanted, setWanted] = useState(0);
  const present = items.map(({ key }) => key);
  const fixed = new Set(items.filter(({ source }) => source === "screen").map(({ key }) => key)).add(me);
  const current = pageOf(present, size, wanted).page;
  const seated = seat(seats, { present, fixed, speakers }, size, current);
  if (seated !== seats) setSeats(seated);
  const { names: keys, page, count } = pageOf(seated.order, size, wanted);
  const turn = (pages: number) => setWanted(Math.min(Math.max(page + pages, 0), count - 1));
  useShortcuts({ pageup: () => turn(-1), pagedown: () => turn(1) });
  return { keys, page, count, turn };
}

/** An element's inner size in CSS pixels, as it changes. */
function useSize(element: RefObject<HTMLElement | null>): { width: number; height: number } {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const { current } = element;
    if (current === null) return undefined;
    const observer = new ResizeObserver(() => setSize({ width: current.clientWidth, height: current.clientHeight }));
    observer.observe(current);
    return () => observer.disconnect();
  }, [element]);
  return size;
}

/** A page that is hidden wishes for no pictures. */
function usePageVisibility(wishes: Wishes): void {
  useEffect(() => {
    const tell = () => wishes.setPageHidden(document.hidden);
    tell();
    document.addEventListener("visibilitychange", tell);
    return () => document.removeEventListener("visibilitychange", tell);
  }, [wishes]);
}
