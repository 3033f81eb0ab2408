/** Who is in a room and what they send, and how each message of the server changes that. Pure: nothing is changed in place. */
import type { Participant } from "../gen/parley/meeting/v1/meeting_pb";
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";
import {
  type ConnectionQuality,
  type Joined,
  SubscriptionState,
  type Track,
} from "../gen/parley/signaling/v1/signaling_pb";
import type { Said } from "./signaling";
import { type Source, sourceOf } from "./sources";

/** Somebody came, went or shows a screen; `count` tells one from the next. */
export interface News {
  readonly kind: "joined" | "left" | "presenting";
  readonly displayName: string;
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
  readonly news: News | undefined;
  /** How often it was told that breakout rooms are opened, closed or end sooner: ask for them again. */
  readonly breakoutNews: number;
  /** Where we are told to go, `meetings/{code}`; empty: we stay. */
  readonly movedTo: string;
  /** The meeting's settings; undefined as long as they are not known. */
  readonly settings: Settings | undefined;
}

export const EMPTY: Room = {
  me: "",
  participants: [],
  former: new Map(),
  tracks: [],
  speakers: new Set(),
  qualities: new Map(),
  deliveries: new Map(),
  news: undefined,
  breakoutNews: 0,
  movedTo: "",
  settings: undefined,
};

export function entered(joined: Joined): Partial<Room> {
  return {
    me: joined.participant?.name ?? "",
    participants: joined.participants,
    tracks: joined.tracks,
    speakers: new Set(joined.speakers),
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
      return { participants: room.participants.map((each) => (each.name === participant.name ? participant : each)) };
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

function news(room: Room, kind: News["kind"], who: Participant | undefined): Partial<Room> {
  if (who === undefined || who.name === room.me) return {};
  return { news: { kind, displayName: who.displayName, count: (room.news?.count ?? 0) + 1 } };
}

function without<T>(map: ReadonlyMap<string, T>, ...keys: string[]): ReadonlyMap<string, T> {
  return new Map([...map].filter(([key]) => !keys.includes(key)));
}
