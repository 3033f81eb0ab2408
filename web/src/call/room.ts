/** Who is in a room and what they send, and how each message of the server changes that. Pure: nothing is changed in place. */
import type { Meeting, Participant } from "../gen/parley/meeting/v1/meeting_pb";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import {
  type ConnectionQuality,
  type Joined,
  SubscriptionState,
  type Track,
} from "../gen/parley/signaling/v1/signaling_pb";
import type { Said } from "./signaling";
import { runs } from "./roles";
import { NAMES, type Source, sourceOf } from "./sources";

/** Somebody came, went, shows a screen or has raised a hand; `count` tells one from the next. */
export interface News {
  readonly kind: "joined" | "left" | "presenting" | "hand";
  readonly displayName: string;
  readonly count: number;
}

/** A host asks us to unmute something; `count` tells one from the next. */
export interface Asked {
  /** What the host is called. */
  readonly by: string;
  readonly source: Source;
  readonly count: number;
}

const FORMER = 500;

/** How a track comes to us: whether there is bandwidth for it, and which simulcast layer. */
export interface Delivery {
  readonly starved: boolean;
  readonly rid: string;
}

export interface Room {
  /** Our own participant's name. */
  readonly me: string;
  readonly participants: readonly Participant[];
  /** What those were called who left last, by participant: what they said is still shown. */
  readonly former: ReadonlyMap<string, string>;
  /** In the order in which they were published. While the room moves to another node there are two of each. */
  readonly tracks: readonly Track[];
  readonly speakers: ReadonlySet<string>;
  /** By participant. */
  readonly qualities: ReadonlyMap<string, ConnectionQuality>;
  /** By track id. */
  readonly deliveries: ReadonlyMap<string, Delivery>;
  /** Whose hands are raised, in the order of raising. */
  readonly hands: readonly string[];
  readonly news: News | undefined;
  /** How often it was told that breakout rooms are opened, closed or end sooner: ask for them again. */
  readonly breakoutNews: number;
  /** Where we are told to go, `meetings/{code}`; empty: we stay. */
  readonly movedTo: string;
  /** The meeting's settings; undefined as long as they are not known. */
  readonly settings: Settings | undefined;
  /** The meeting since it was changed last; undefined as long as it is what it was when we came. */
  readonly meeting: Meeting | undefined;
  /** Who waits in the lobby, in order of coming; told to those who run the meeting. */
  readonly waiting: readonly Participant[];
  readonly asked: Asked | undefined;
}

export const EMPTY: Room = {
  me: "",
  participants: [],
  former: new Map(),
  tracks: [],
  speakers: new Set(),
  qualities: new Map(),
  deliveries: new Map(),
  hands: [],
  news: undefined,
  breakoutNews: 0,
  movedTo: "",
  settings: undefined,
  meeting: undefined,
  waiting: [],
  asked: undefined,
};

export function entered(joined: Joined): Partial<Room> {
  return {
    me: joined.participant?.name ?? "",
    participants: joined.participants,
    tracks: joined.tracks,
    speakers: new Set(joined.speakers),
    hands: joined.hands,
  };
}

/** Tell what of a room is different after a message. */
export function changes(room: Room, message: Said): Partial<Room> {
  switch (message.case) {
    case "participantJoined": {
      const { participant } = message.value;
      if (participant === undefined) return {};
      const others = room.participants.filter(({ name }) => name !== participant.name);
      return { participants: [...others, participant], ...news(room, "joined", participant) };
    }
    case "participantUpdated": {
      const { participant } = message.value;
      if (participant === undefined) return {};
      return {
        participants: room.participants.map((each) => (each.name === participant.name ? participant : each)),
        // Who does not run the meeting any more is not told of the lobby either.
        ...(participant.name === room.me && !runs(participant) ? { waiting: [] } : {}),
      };
    }
    case "participantLeft":
      return left(room, message.value.participant);
    case "trackPublished":
    case "trackUpdated":
      return message.value.track === undefined ? {} : published(room, message.value.track);
    case "trackUnpublished": {
      const { trackId } = message.value;
      return { tracks: room.tracks.filter(({ id }) => id !== trackId), deliveries: without(room.deliveries, trackId) };
    }
    case "subscriptionChanged": {
      const { trackId, state, rid } = message.value;
      const delivery = { starved: state === SubscriptionState.STARVED, rid };
      return { deliveries: new Map(room.deliveries).set(trackId, delivery) };
    }
    case "speakersChanged":
      return { speakers: new Set(message.value.speakers) };
    case "qualityChanged":
      return { qualities: new Map(room.qualities).set(message.value.participant, message.value.quality) };
    case "handsChanged":
      return raised(room, message.value.hands);
    case "meetingUpdated":
      return message.value.meeting === undefined ? {} : { meeting: message.value.meeting };
    case "lobbyChanged":
      return { waiting: message.value.waiting };
    case "unmuteRequested": {
      const { requester, source } = message.value;
      const wanted = NAMES[source];
      if (wanted === undefined) return {};
      return { asked: { by: nameOf(room, requester), source: wanted, count: (room.asked?.count ?? 0) + 1 } };
    }
    case "settingsChanged":
      return message.value.settings === undefined ? {} : { settings: message.value.settings };
    case "breakoutsChanged":
      return { breakoutNews: room.breakoutNews + 1 };
    case "moved":
      return { movedTo: message.value.meeting };
    case "mediaReset":
      return { tracks: [], speakers: new Set(), deliveries: new Map() };
    default:
      return {};
  }
}

/** Ourselves, once we are in. */
export function ownOf(room: Room): Participant | undefined {
  return room.participants.find(({ name }) => name === room.me);
}

/** What a participant is called, or was while they were here. */
export function nameOf(room: Room, participant: string): string {
  const present = room.participants.find(({ name }) => name === participant);
  return present?.displayName ?? room.former.get(participant) ?? "?";
}

/** The track of a participant's source, the newest if the room is moving. */
export function trackOf(room: Room, participant: string, source: Source): Track | undefined {
  return room.tracks.filter((track) => track.participant === participant && sourceOf(track) === source).at(-1);
}

/** The newest tracks, one of each participant's sources. */
export function newest(room: Room): Track[] {
  return room.tracks.filter((track) => trackOf(room, track.participant, sourceOf(track)) === track);
}

/** A track that arrives. */
export interface Arriving {
  readonly id: string;
  readonly track: MediaStreamTrack;
}

/** All that arrives of a participant's source, the newest last; nothing while it is muted. */
export function arriving(
  room: Room & { readonly received: ReadonlyMap<string, MediaStreamTrack> },
  participant: string,
  source: Source,
): Arriving[] {
  if (trackOf(room, participant, source)?.muted !== false) return [];
  return room.tracks.flatMap((track) => {
    const arrived = room.received.get(track.id);
    if (track.participant !== participant || sourceOf(track) !== source || arrived === undefined) return [];
    return [{ id: track.id, track: arrived }];
  });
}

/** Whether all of `coming` is to be had by its newest track: what has `arrived`. What is muted or gone is not missed. */
export function isMoved(room: Room, coming: ReadonlySet<string>, arrived: ReadonlySet<string>): boolean {
  return room.tracks.every((track) => {
    if (!coming.has(track.id)) return true;
    const successor = trackOf(room, track.participant, sourceOf(track));
    return successor === undefined || successor.muted || arrived.has(successor.id);
  });
}

function left(room: Room, gone: string): Partial<Room> {
  const ids = room.tracks.filter(({ participant }) => participant === gone).map(({ id }) => id);
  const who = room.participants.find(({ name }) => name === gone);
  return {
    participants: room.participants.filter(({ name }) => name !== gone),
    ...(who === undefined ? {} : { former: new Map([...room.former, [gone, who.displayName] as const].slice(-FORMER)) }),
    tracks: room.tracks.filter(({ participant }) => participant !== gone),
    qualities: without(room.qualities, gone),
    deliveries: without(room.deliveries, ...ids),
    ...news(room, "left", who),
  };
}

function published(room: Room, track: Track): Partial<Room> {
  if (room.tracks.some(({ id }) => id === track.id))
    return { tracks: room.tracks.map((each) => (each.id === track.id ? track : each)) };
  const isShown = sourceOf(track) === "screen" && trackOf(room, track.participant, "screen") === undefined;
  const presenter = room.participants.find(({ name }) => name === track.participant);
  return { tracks: [...room.tracks, track], ...(isShown ? news(room, "presenting", presenter) : {}) };
}

function raised(room: Room, hands: readonly string[]): Partial<Room> {
  const latest = hands.filter((hand) => !room.hands.includes(hand)).at(-1);
  return { hands, ...news(room, "hand", room.participants.find(({ name }) => name === latest)) };
}

function news(room: Room, kind: News["kind"], who: Participant | undefined): Partial<Room> {
  if (who === undefined || who.name === room.me) return {};
  return { news: { kind, displayName: who.displayName, count: (room.news?.count ?? 0) + 1 } };
}

function without<T>(map: ReadonlyMap<string, T>, ...keys: string[]): ReadonlyMap<string, T> {
  return new Map([...map].filter(([key]) => !keys.includes(key)));
}
