/**
 * Encrypts and decrypts frames on their way, off the page's thread (W3C webrtc-encoded-transform). A frame that fails
 * goes nowhere: what can't be encrypted is not sent, what can't be decrypted is not shown.
 */
import { Decryptor, Encryptor, type Stream } from "./frame";
import { nameOf, type Order, type Report, type TransformOptions } from "./messages";
import { importSecret } from "./secret";

type Frame = RTCEncodedAudioFrame | RTCEncodedVideoFrame;
type Step = (frame: Frame, controller: TransformStreamDefaultController<Frame>) => Promise<void>;

/** As much of a worker's own scope as this one uses; the page's types are loaded instead. */
interface Scope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  onrtctransform: ((event: { transformer: Transformer }) => void) | null;
  postMessage(report: Report): void;
}
interface Transformer {
  readonly readable: ReadableStream<Frame>;
  readonly writable: WritableStream<Frame>;
  readonly options: TransformOptions;
}

/** Frames in a row that can't be decrypted before the page is told. */
const FAILURES = 5;
/** Streams whose replay windows are kept: more than a meeting has in its life, fewer than fill a memory. */
const KEPT_STREAMS = 5_000;

const scope = globalThis as unknown as Scope;
const encryptors = new Map<string, Encryptor>();
const inlets = new Map<string, Inlet>();
const bound = new Map<number, Stream>();
let haveSecret: (secret: Promise<CryptoKey>) => void;
const secret = new Promise<CryptoKey>((resolve) => (haveSecret = resolve));

/** Somebody else's stream, and how many of its frames in a row could not be decrypted. */
interface Inlet {
  readonly decryptor: Decryptor;
  failures: number;
}

scope.onmessage = ({ data: order }) => {
  if (order.kind === "secret") haveSecret(importSecret(order.secret));
  else if (order.kind === "bind") bound.set(order.id, order.stream);
  else for (const encryptor of encryptors.values()) encryptor.rotate();
};

scope.onrtctransform = ({ transformer: { readable, writable, options } }) => {
  const { side, id, stream } = options;
  if (side === "receive" && stream !== undefined && !bound.has(id)) bound.set(id, stream);
  const transform = side === "send" && stream !== undefined ? sending(stream) : receiving(id);
  // The streams end when the connection closes; that is no error.
  readable.pipeThrough(new TransformStream({ transform })).pipeTo(writable).catch(() => undefined);
};

function sending(stream: Stream): Step {
  return async (frame, controller) => {
    // Encoders give empty frames in silence, which browsers do not send: so they must stay empty.
    if (frame.data.byteLength === 0) {
      controller.enqueue(frame);
      return;
    }
    const key = await secret;
    const encryptor = kept(encryptors, nameOf(stream), () => new Encryptor(key, stream));
    try {
      frame.data = (await encryptor.encrypt(new Uint8Array(frame.data))).buffer;
    } catch (error) {
      console.error("frame not sent", error);
      return;
    }
    controller.enqueue(frame);
  };
}

function receiving(id: number): Step {
  return async (frame, controller) => {
    if (frame.data.byteLength === 0) {
      controller.enqueue(frame);
      return;
    }
    const key = await secret;
    const stream = bound.get(id);
    if (stream === undefined) return;
    const name = nameOf(stream);
    const inlet = kept(inlets, name, () => ({ decryptor: new Decryptor(key, stream), failures: 0 }));
    try {
      frame.data = (await inlet.decryptor.decrypt(new Uint8Array(frame.data))).buffer;
    } catch {
      if (++inlet.failures === FAILURES) scope.postMessage({ stream: name, decrypts: false });
      return;
    }
    if (inlet.failures >= FAILURES) scope.postMessage({ stream: name, decrypts: true });
    inlet.failures = 0;
    controller.enqueue(frame);
  };
}

/** Each stream has one for good, whatever connection carries it: counters and replay windows outlive connections. */
function kept<Each>(all: Map<string, Each>, name: string, make: () => Each): Each {
  const found = all.get(name) ?? make();
  all.set(name, found);
  const [oldest] = all.keys();
  if (all.size > KEPT_STREAMS && oldest !== undefined) all.delete(oldest);
  return found;
}
