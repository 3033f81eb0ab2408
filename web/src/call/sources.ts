/** What people send, source by source: how it is named in the contract, and how it is encoded. */
import { type Track, TrackKind, TrackSource } from "../gen/parley/signaling/v1/signaling_pb";

export const SOURCES = ["microphone", "camera", "screen", "screenAudio"] as const;
export type Source = (typeof SOURCES)[number];
export type OwnMedia = Readonly<Partial<Record<Source, MediaStreamTrack | null>>>;

export const TRACK_SOURCES: Readonly<Record<Source, TrackSource>> = {
  microphone: TrackSource.MICROPHONE,
  camera: TrackSource.CAMERA,
  screen: TrackSource.SCREEN,
  screenAudio: TrackSource.SCREEN_AUDIO,
};
export const NAMES: Partial<Record<TrackSource, Source>> = {
  [TrackSource.MICROPHONE]: "microphone",
  [TrackSource.CAMERA]: "camera",
  [TrackSource.SCREEN]: "screen",
  [TrackSource.SCREEN_AUDIO]: "screenAudio",
};

/** What comes and goes as a whole: without a track it is published no more. The others keep their place, muted. */
export const PASSING: ReadonlySet<Source> = new Set(["screen", "screenAudio"]);

/**
 * The layers of each source, smallest first: when bandwidth is short a browser gives up from the end
 * (W3C webrtc-pc §5.2.8). Bits and frames are per second.
 */
const ENCODINGS: Readonly<Record<Source, readonly RTCRtpEncodingParameters[]>> = {
  microphone: [{}],
  camera: [
    { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
    { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
  ],
  screen: [
    { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 400_000 },
    { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 2_500_000 },
  ],
  screenAudio: [{ maxBitrate: 128_000 }],
};
/** Text is to be sharp, and may be late. */
const TEXT_FPS = 15;
const MOTION_FPS = 30;

/** Codecs in the order in which they are offered; others follow as the browser has them. */
const CODECS: Readonly<Record<"audio" | "video", readonly string[]>> = {
  audio: ["audio/red", "audio/opus"],
  video: ["video/VP8", "video/H264"],
};

/** Name what is behind a track of the room. A contract's unspecified source is decided by the kind. */
export function sourceOf(track: Track): Source {
  return NAMES[track.source] ?? (track.kind === TrackKind.VIDEO ? "camera" : "microphone");
}

export function kindOf(source: Source): "audio" | "video" {
  return source === "camera" || source === "screen" ? "video" : "audio";
}

/** How to begin to send a source. Copies: browsers keep what they are given. */
export function encodingsOf(source: Source): RTCRtpEncodingParameters[] {
  return ENCODINGS[source].map((encoding) => ({ ...encoding }));
}

/** Put the codecs that every server of ours has first. */
export function preferred(kind: "audio" | "video", codecs: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  const rank = ({ mimeType }: RTCRtpCodec): number => {
    const place = CODECS[kind].indexOf(mimeType);
    return place === -1 ? CODECS[kind].length : place;
  };
  return [...codecs].sort((a, b) => rank(a) - rank(b));
}

/**
 * Fit a sender's parameters to what is wanted of it: `rids` are the layers that anybody watches (undefined: not said
 * yet, so all), `hint` is the track's content hint. Where the server took one layer of several, that one is sent whole.
 */
export function fit(
  parameters: RTCRtpSendParameters,
  source: Source,
  rids: readonly string[] | undefined,
  hint: string,
): RTCRtpSendParameters {
  const whole = ENCODINGS[source].at(-1);
  const isAlone = parameters.encodings.length === 1;
  for (const encoding of parameters.encodings) {
    if (isAlone && kindOf(source) === "video")
      Object.assign(encoding, { scaleResolutionDownBy: 1, maxBitrate: whole?.maxBitrate });
    encoding.active = rids === undefined || (isAlone ? rids.length > 0 : rids.includes(encoding.rid ?? ""));
    if (source === "screen") encoding.maxFramerate = hint === "motion" ? MOTION_FPS : TEXT_FPS;
  }
  if (source === "screen") parameters.degradationPreference = hint === "motion" ? "balanced" : "maintain-resolution";
  return parameters;
}
