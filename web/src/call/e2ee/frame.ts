/**
 * How a frame is encrypted (docs/e2ee.md has the whole format, and why):
 *
 *     clear bytes | AES-128-GCM ciphertext and tag (16) | counter (4) | key id (8) | version (1)
 *
 * The clear bytes are those that a packetizer and the SFU read: Opus' TOC byte, VP8's frame header. They and the
 * trailer are authenticated. A key belongs to one stream (a participant's source) and one random key id, so that no
 * key is ever used by two pages; the counter goes on from one key to the next, so that a stream has one replay window.
 */
import { ReplayWindow } from "./replay";

export type Kind = "audio" | "video";
type Bytes = Uint8Array<ArrayBuffer>;

/** What a participant sends from one source: `meetings/{code}/participants/{id}`, and `microphone`, `camera`, … */
export interface Stream {
  readonly participant: string;
  readonly source: string;
  readonly kind: Kind;
}

/** Why a frame was dropped. */
export class FrameRefused extends Error {
  constructor(readonly why: "malformed" | "replayed" | "forged") {
    super(`frame ${why}`);
  }
}

interface FrameKey {
  readonly id: Bytes;
  readonly key: CryptoKey;
  readonly salt: Bytes;
}

const VERSION = 1;
const TAG = 16;
const COUNTER = 4;
const KEY_ID = 8;
const TRAILER = COUNTER + KEY_ID + 1;
const KEY = 16;
const IV = 12;
export const OVERHEAD = TAG + TRAILER;
export const MAX_COUNTER = 2 ** 32 - 1;
/** Keys of a sender that a receiver keeps, newest last: frames that overtake a rotation are rare, and late by little. */
const KEPT_KEYS = 4;

/** Encrypts what one's own stream sends, through whichever connection. */
export class Encryptor {
  #key: Promise<FrameKey>;

  constructor(
    private readonly secret: CryptoKey,
    private readonly stream: Stream,
    private counter = 0,
  ) {
    this.#key = this.#newKey();
  }

  /** Use another key from the next frame on. */
  rotate(): void {
    this.#key = this.#newKey();
  }

  /** Encrypt a frame. Rejects when the counter is used up, which takes a year. */
  async encrypt(frame: Bytes): Promise<Bytes> {
    const counter = this.counter++;
    if (counter > MAX_COUNTER) throw new RangeError("no counter left");
    const key = await this.#key;
    const clear = frame.subarray(0, clearBytes(this.stream.kind, frame, frame.length));
    const trailer = trailerOf(counter, key.id);
    const sealed = await crypto.subtle.encrypt(
      parameters(key, counter, clear, trailer),
      key.key,
      frame.subarray(clear.length),
    );
    return concatenated(clear, new Uint8Array(sealed), trailer);
  }

  #newKey(): Promise<FrameKey> {
    return derive(this.secret, this.stream, crypto.getRandomValues(new Uint8Array(KEY_ID)));
  }
}

/** Decrypts what somebody else's stream sends, each frame once. */
export class Decryptor {
  readonly #window = new ReplayWindow();
  readonly #keys = new Map<string, FrameKey>();

  constructor(
    private readonly secret: CryptoKey,
    private readonly stream: Stream,
  ) {}

  /** Decrypt a frame. Rejects with FrameRefused. */
  async decrypt(frame: Bytes): Promise<Bytes> {
    const length = frame.length - OVERHEAD;
    if (length < 0 || frame.at(-1) !== VERSION) throw new FrameRefused("malformed");
    const trailer = frame.subarray(-TRAILER);
    const counter = new DataView(trailer.buffer, trailer.byteOffset).getUint32(0);
    if (!this.#window.isFresh(counter)) throw new FrameRefused("replayed");
    const clear = frame.subarray(0, clearBytes(this.stream.kind, frame, length));
    const opened = await this.#open(frame.subarray(clear.length, -TRAILER), clear, trailer, counter);
    if (!this.#window.take(counter)) throw new FrameRefused("replayed");
    return concatenated(clear, opened);
  }

  /** Try the frame's key; one that has opened a frame is kept, so that strangers' key ids take no place. */
  async #open(sealed: Bytes, clear: Bytes, trailer: Bytes, counter: number): Promise<Bytes> {
    const id = trailer.slice(COUNTER, COUNTER + KEY_ID);
    const name = id.join();
    const key = this.#keys.get(name) ?? (await derive(this.secret, this.stream, id));
    try {
      const opened = await crypto.subtle.decrypt(parameters(key, counter, clear, trailer), key.key, sealed);
      this.#keep(name, key);
      return new Uint8Array(opened);
    } catch {
      throw new FrameRefused("forged");
    }
  }

  #keep(name: string, key: FrameKey): void {
    this.#keys.set(name, key);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > KEPT_KEYS && oldest !== undefined) this.#keys.delete(oldest);
  }
}

/** Derive the key and the salt of a stream for a key id: HKDF-SHA-256 (RFC 5869). */
async function derive(secret: CryptoKey, { participant, source }: Stream, id: Bytes): Promise<FrameKey> {
  const info = new TextEncoder().encode(`parley e2ee ${VERSION}\0${participant}\0${source}`);
  const bits = await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: id, info }, secret, 8 * (KEY + IV));
  const key = await crypto.subtle.importKey("raw", bits.slice(0, KEY), "AES-GCM", false, ["encrypt", "decrypt"]);
  return { id, key, salt: new Uint8Array(bits.slice(KEY)) };
}

/** The IV is the salt with the counter XORed into its end, as in SFrame (RFC 9605 §4.4.3). */
function parameters({ salt }: FrameKey, counter: number, clear: Bytes, trailer: Bytes): AesGcmParams {
  const iv = salt.slice();
  const end = new DataView(iv.buffer);
  end.setUint32(IV - COUNTER, end.getUint32(IV - COUNTER) ^ counter);
  return { name: "AES-GCM", iv, additionalData: concatenated(clear, trailer) };
}

/**
 * How many of a frame's first bytes stay clear. Opus: the TOC byte (RFC 6716 §3.1). VP8: the uncompressed header, 10
 * bytes of a keyframe and 3 of any other, told apart by the first bit (RFC 6386 §9.1).
 */
function clearBytes(kind: Kind, frame: Bytes, length: number): number {
  const wanted = kind === "audio" ? 1 : ((frame[0] ?? 1) & 1) === 0 ? 10 : 3;
  return Math.min(wanted, length);
}

function trailerOf(counter: number, id: Bytes): Bytes {
  const trailer = new Uint8Array(TRAILER);
  new DataView(trailer.buffer).setUint32(0, counter);
  trailer.set(id, COUNTER);
  trailer[TRAILER - 1] = VERSION;
  return trailer;
}

function concatenated(...parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
