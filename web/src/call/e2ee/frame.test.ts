import { expect, test } from "vitest";
import { Decryptor, Encryptor, type FrameRefused, type Kind, MAX_COUNTER, OVERHEAD, type Stream } from "./frame";
import { importSecret, newSecret } from "./secret";

const ANN = "meetings/abc-defg-hij/participants/00000000-0000-4000-8000-000000000001";
const BOB = "meetings/abc-defg-hij/participants/00000000-0000-4000-8000-000000000002";
const KEYFRAME = bytes(0x10, 2000);
const DELTA = bytes(0x11, 300);

/** A frame that begins with a byte; the rest counts. */
function bytes(first: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => (at === 0 ? first : at & 0xff));
}

function stream(kind: Kind, participant = ANN, source = kind === "audio" ? "microphone" : "camera"): Stream {
  return { participant, source, kind };
}

async function pair(of: Stream, secret = newSecret()) {
  const key = await importSecret(secret);
  return { encryptor: new Encryptor(key, of), decryptor: new Decryptor(key, of), secret };
}

const counterOf = (frame: Uint8Array) => new DataView(frame.buffer).getUint32(frame.length - 13);
const keyIdOf = (frame: Uint8Array) => frame.slice(-9, -1).join();
const refused = (why: FrameRefused["why"]) => ({ why });

test.each([
  ["video", KEYFRAME, 10],
  ["video", DELTA, 3],
  ["audio", bytes(0xfc, 80), 1],
] as const)("a %s frame comes back whole, and only what the SFU reads stays clear", async (kind, frame, clear) => {
  const { encryptor, decryptor } = await pair(stream(kind));
  const sent = await encryptor.encrypt(frame);
  expect(sent.length).toBe(frame.length + OVERHEAD);
  expect(sent.subarray(0, clear)).toEqual(frame.subarray(0, clear));
  expect(Buffer.from(sent).includes(Buffer.from(frame.subarray(clear, clear + 8)))).toBe(false);
  expect(await decryptor.decrypt(sent)).toEqual(frame);
});

test.each([0, 1, 2, 9, 10, 11])("a frame of %d bytes comes back", async (length) => {
  const { encryptor, decryptor } = await pair(stream("video"));
  expect(await decryptor.decrypt(await encryptor.encrypt(bytes(0x10, length)))).toEqual(bytes(0x10, length));
});

test("a frame that was changed anywhere, or cut, is refused", async () => {
  const { encryptor, decryptor } = await pair(stream("video"));
  const sent = await encryptor.encrypt(KEYFRAME.slice(0, 40));
  for (let at = 0; at < sent.length; at++) {
    const changed = sent.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    const why = at === sent.length - 1 ? "malformed" : "forged";
    await expect(decryptor.decrypt(changed), `byte ${at}`).rejects.toMatchObject(refused(why));
    await expect(decryptor.decrypt(sent.subarray(0, at))).rejects.toHaveProperty("why");
  }
  expect(await decryptor.decrypt(sent)).toEqual(KEYFRAME.slice(0, 40));
});

test("what is not encrypted is refused, not shown", async () => {
  const { decryptor } = await pair(stream("video"));
  await expect(decryptor.decrypt(KEYFRAME)).rejects.toMatchObject(refused("malformed"));
  await expect(decryptor.decrypt(Uint8Array.of(...KEYFRAME, 1))).rejects.toMatchObject(refused("forged"));
});

test("a frame is taken once, also by a receiver that is asked twice at the same time", async () => {
  const { encryptor, decryptor } = await pair(stream("audio"));
  const sent = await encryptor.encrypt(bytes(0xfc, 80));
  const both = await Promise.allSettled([decryptor.decrypt(sent), decryptor.decrypt(sent)]);
  expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  await expect(decryptor.decrypt(sent)).rejects.toMatchObject(refused("replayed"));
});

test("frames that overtake others are taken, those of long ago are not", async () => {
  const { encryptor, decryptor } = await pair(stream("audio"));
  const sent: Uint8Array<ArrayBuffer>[] = [];
  for (let count = 0; count < 1100; count++) sent.push(await encryptor.encrypt(bytes(0xfc, 3)));
  const [first, second] = sent;
  const last = sent.at(-1);
  const before = sent.at(-2);
  if (first === undefined || second === undefined || last === undefined || before === undefined) throw new Error("none");
  await decryptor.decrypt(first);
  await decryptor.decrypt(last);
  await decryptor.decrypt(before);
  await expect(decryptor.decrypt(second)).rejects.toMatchObject(refused("replayed"));
});

test("the wrong link, another participant's name and another source open nothing", async () => {
  const { encryptor, secret } = await pair(stream("video"));
  const key = await importSecret(secret);
  const sent = await encryptor.encrypt(DELTA);
  for (const wrong of [
    new Decryptor(await importSecret(newSecret()), stream("video")),
    new Decryptor(key, stream("video", BOB)),
    new Decryptor(key, stream("video", ANN, "screen")),
  ])
    await expect(wrong.decrypt(sent)).rejects.toMatchObject(refused("forged"));
  expect(await new Decryptor(key, stream("video")).decrypt(sent)).toEqual(DELTA);
});

test("no counter is used twice, even at once and over a rotation, and none after the last", async () => {
  const { encryptor, decryptor, secret } = await pair(stream("video"));
  const first = await Promise.all(Array.from({ length: 50 }, () => encryptor.encrypt(DELTA)));
  encryptor.rotate();
  const second = await Promise.all(Array.from({ length: 50 }, () => encryptor.encrypt(DELTA)));
  expect(new Set([...first, ...second].map(counterOf)).size).toBe(100);
  expect(new Set(first.map(keyIdOf)).size).toBe(1);
  expect(new Set([...first, ...second].map(keyIdOf)).size).toBe(2);
  for (const sent of [...second, ...first]) expect(await decryptor.decrypt(sent)).toEqual(DELTA);
  const used = new Encryptor(await importSecret(secret), stream("video"), MAX_COUNTER);
  await used.encrypt(DELTA);
  await expect(used.encrypt(DELTA)).rejects.toThrow(RangeError);
});

test("a page that begins anew under the same name has another key, so that no nonce comes twice", async () => {
  const key = await importSecret(newSecret());
  const [one, two] = [new Encryptor(key, stream("audio")), new Encryptor(key, stream("audio"))];
  const [first, second] = [await one.encrypt(bytes(0xfc, 40)), await two.encrypt(bytes(0xfc, 40))];
  expect(counterOf(first)).toBe(counterOf(second));
  expect(keyIdOf(first)).not.toBe(keyIdOf(second));
  expect(first.subarray(1, 40)).not.toEqual(second.subarray(1, 40));
});

test("key ids that a stranger makes up push no true key out", async () => {
  const { encryptor, decryptor } = await pair(stream("audio"));
  await decryptor.decrypt(await encryptor.encrypt(bytes(0xfc, 40)));
  const sent = await encryptor.encrypt(bytes(0xfc, 40));
  for (let count = 0; count < 20; count++) {
    const forged = sent.slice();
    crypto.getRandomValues(forged.subarray(-9, -1));
    await expect(decryptor.decrypt(forged)).rejects.toMatchObject(refused("forged"));
  }
  expect(await decryptor.decrypt(sent)).toEqual(bytes(0xfc, 40));
});
