/** A tile of the stage: somebody, or the screen that somebody shows. */
import type { CallState } from "../call/call";
import { streamName } from "../call/e2ee/encryption";
import { arriving, trackOf } from "../call/room";
import type { Wishes } from "../call/wishes";
import type { Participant } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import { Playing } from "./parts";
import { usePictureOf } from "./picture";
import { Bars } from "./quality";
import { useWish } from "./wish";

/** What has a tile. */
export interface Item {
  readonly key: string;
  readonly participant: Participant;
  readonly source: "camera" | "screen";
}

interface TileProps {
  item: Item;
  state: CallState;
  wishes: Wishes;
  /** Our own tile shows what our camera sees. */
  own: { readonly video: MediaStreamTrack | null; readonly muted: boolean } | undefined;
  /** Whether it is the large one. */
  isPinned: boolean;
  pin: () => void;
}

/** Who keeps quality for longest when bandwidth is short: 0 to 100. */
const PRIORITIES = { pinnedScreen: 100, screen: 90, pinned: 80, speaker: 50, other: 10 };

export function Tile({ item, state, wishes, own, isPinned, pin }: TileProps) {
  const { t } = useI18n();
  const { participant, source } = item;
  const { name, displayName } = participant;
  const muted = own?.muted ?? trackOf(state, name, "microphone")?.muted ?? true;
  const speaking = source === "camera" && state.speakers.has(name) && !muted;
  const track = trackOf(state, name, source);
  const place = useWish(wishes, own === undefined ? track?.id : undefined, priorityOf(source, isPinned, speaking));
  const starved = own === undefined && track?.muted === false && (state.deliveries.get(track.id)?.starved ?? false);
  const isUndecryptable = [track, source === "camera" ? trackOf(state, name, "microphone") : undefined].some(
    (each) => each?.muted === false && state.undecryptable.has(streamName(each)),
  );
  const title = source === "screen" ? t("presenting", { name: displayName }) : displayName;
  const classes = ["tile", source, speaking && "speaking", isPinned && "pinned"].filter(Boolean).join(" ");
  const hand = source === "camera" ? state.hands.indexOf(name) + 1 : 0;
  return (
    <li
      ref={place}
      className={classes}
      data-participant={name}
      data-source={source}
      aria-label={speaking ? `${title}, ${t("speaking")}` : title}
      onClick={pin}
    >
      <Face participant={participant} />
      <Pictures item={item} state={state} own={own} hidden={starved || isUndecryptable} />
      {isUndecryptable && (
        <p className="undecryptable" role="status">
          <Icon name="lock" />
          {t("undecryptable")}
        </p>
      )}
      {hand > 0 && (
        <span className="raised" role="img" aria-label={t("handRaised", { place: hand })} title={t("handRaised", { place: hand })}>
          <Icon name="hand" />
          {hand}
        </span>
      )}
      {starved && (
        <span className="starved" title={t("lowBandwidth")}>
          <Icon name="starved" />
          <span>{t("lowBandwidth")}</span>
        </span>
      )}
      <button
        type="button"
        className="pin"
        aria-pressed={isPinned}
        aria-label={t(isPinned ? "unpin" : "pin", { name: title })}
        title={t(isPinned ? "unpin" : "pin", { name: title })}
      >
        <Icon name="pin" />
      </button>
      <span className="name">
        {muted && source === "camera" && (
          <span role="img" aria-label={t("muted")}>
            <Icon name="micOff" />
          </span>
        )}
        <span className="cut">
          {title}
          {own !== undefined && ` (${t("you")})`}
        </span>
        {source === "camera" && <Bars quality={state.qualities.get(name)} />}
      </span>
    </li>
  );
}

/** What is seen. While the room moves the new picture lies over the old one, which is seen until the new one comes. */
function Pictures({ item, state, own, hidden }: Pick<TileProps, "item" | "state" | "own"> & { hidden: boolean }) {
  if (own !== undefined) return own.video === null ? null : <Playing track={own.video} mirrored />;
  if (hidden) return null;
  const pictures = arriving(state, item.participant.name, item.source);
  return pictures.map(({ id, track }) => <Playing key={id} track={track} />);
}

/** Somebody's picture, or the first letter of their name; under what their camera sees it is not seen. */
function Face({ participant }: { participant: Participant }) {
  const picture = usePictureOf(participant.user);
  if (picture !== "") return <img className="initial" src={picture} alt="" />;
  return (
    <span className={`initial hue-${hueOf(participant.name)}`} aria-hidden="true">
      {Array.from(participant.displayName)[0]?.toUpperCase()}
    </span>
  );
}

function priorityOf(source: Item["source"], isPinned: boolean, speaking: boolean): number {
  if (source === "screen") return isPinned ? PRIORITIES.pinnedScreen : PRIORITIES.screen;
  if (isPinned) return PRIORITIES.pinned;
  return speaking ? PRIORITIES.speaker : PRIORITIES.other;
}

/** One of six colours, the same for a participant on everyone's screen. */
function hueOf(participant: string): number {
  return Array.from(participant).reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % 6;
}
