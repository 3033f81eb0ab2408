/** The page's side of an encrypted call: it puts a transform on whatever is sent and received, and hears how that goes. */
import { type Track, TrackKind, TrackSource } from "../../gen/parley/signaling/v1/signaling_pb";
import type { Kind, Stream } from "./frame";
import { nameOf, type Order, type Report, type TransformOptions } from "./messages";

const SOURCES: Partial<Record<TrackSource, string>> = {
  [TrackSource.MICROPHONE]: "microphone",
  [TrackSource.CAMERA]: "camera",
  [TrackSource.SCREEN]: "screen",
  [TrackSource.SCREEN_AUDIO]: "screen_audio",
};
/** Opus and VP8 alone have frames whose clear bytes are known; retransmission wraps either. */
const CODECS = ["audio/opus", "video/vp8", "video/rtx"];

const ROTATE_MS = 2_000;

/** Tell whether this browser can: encoded transforms, and Web Crypto, which only secure contexts have. */
export function canEncrypt(): boolean {
  return "RTCRtpScriptTransform" in globalThis && globalThis.isSecureContext;
}

export class Encryption {
  /** Hears the names (`streamName`) of all streams that can't be decrypted, whenever they change. */
  changed: (undecryptable: ReadonlySet<string>) => void = () => undefined;
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  /** Receivers by the number that the worker knows them by. */
  readonly #receivers = new WeakMap<RTCRtpReceiver, number>();
  /** The same numbers, by the ids of tracks that nothing is known of yet. */
  readonly #unnamed = new Map<string, number>();
  #undecryptable: ReadonlySet<string> = new Set();
  #rotating: ReturnType<typeof setTimeout> | undefined;
  #count = 0;

  /** `secret` is the link's, `me` one's own participant's resource name. */
  constructor(
    secret: string,
    private readonly me: string,
  ) {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Report>) => this.#hear(data));
    this.#order({ kind: "secret", secret });
  }

  /** Encrypt what a new transceiver sends; before it is offered. */
  made(transceiver: RTCRtpTransceiver, source: TrackSource): void {
    const { sender, receiver } = transceiver;
    const kind = receiver.track.kind as Kind;
    const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => CODECS.includes(mimeType.toLowerCase())));
    const stream = { participant: this.me, source: SOURCES[source] ?? "", kind };
    sender.transform = this.#transform({ side: "send", id: ++this.#count, stream });
  }

  /** Decrypt what arrives for a track; before its section is answered. The receiver may have been another track's. */
  arrived(trackId: string, receiver: RTCRtpReceiver, track: Track | undefined): void {
    const known = this.#receivers.get(receiver);
    const id = known ?? ++this.#count;
    this.#receivers.set(receiver, id);
    this.#unnamed.delete(trackId);
    if (track === undefined) this.#unnamed.set(trackId, id);
    else this.#order({ kind: "bind", id, stream: streamOf(track) });
    if (known === undefined)
      receiver.transform = this.#transform({ side: "receive", id, stream: track && streamOf(track) });
  }

  /** Hear whose a track is that arrived before anything was known of it. */
  published(track: Track): void {
    const id = this.#unnamed.get(track.id);
    this.#unnamed.delete(track.id);
    if (id !== undefined) this.#order({ kind: "bind", id, stream: streamOf(track) });
  }

  /** Change one's own keys, in a while and once for all who come and go until then. */
  rotate(): void {
    this.#rotating ??= setTimeout(() => {
      this.#rotating = undefined;
      this.#order({ kind: "rotate" });
    }, ROTATE_MS);
  }

  close(): void {
    clearTimeout(this.#rotating);
    this.#worker.terminate();
  }

  #hear({ stream, decrypts }: Report): void {
    const undecryptable = new Set(this.#undecryptable);
    if (decrypts) undecryptable.delete(stream);
    else undecryptable.add(stream);
    this.#undecryptable = undecryptable;
    this.changed(undecryptable);
  }

  #transform(options: TransformOptions): RTCRtpScriptTransform {
    return new RTCRtpScriptTransform(this.#worker, options);
  }

  #order(order: Order): void {
    this.#worker.postMessage(order);
  }
}

/** The name under which a track's stream is known to be undecryptable. */
export function streamName(track: Track): string {
  return nameOf(streamOf(track));
}

function streamOf({ participant, source, kind }: Track): Stream {
  return { participant, source: SOURCES[source] ?? "", kind: kind === TrackKind.AUDIO ? "audio" : "video" };
}
