import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ConnectError } from "@connectrpc/connect";
import type { ToSay } from "./signaling";
import { Wishes } from "./wishes";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const settle = () => vi.advanceTimersByTimeAsync(300);

/** Wishes and what they have told, as text: "a 320x180", "b paused". */
function wishes(refuse: () => Error | undefined = () => undefined) {
  const told: string[][] = [];
  const made = new Wishes((message: ToSay) => {
    const error = refuse();
    if (error !== undefined) return Promise.reject(error);
    const list = message.case === "setSubscriptions" ? message.value.subscriptions : [];
    told.push(list.map(({ trackId, paused, width, height }) => `${trackId} ${paused ? "paused" : `${width}x${height}`}`));
    return Promise.resolve();
  });
  return { made, told };
}

const size = (width: number, height: number) => ({ width, height, priority: 0 });

test("what is shown is told in one batch, and the rest is paused; then only what changes", async () => {
  const { made, told } = wishes();
  made.setReady(true);
  made.of(["a", "b", "c"]);
  made.show("a", size(320.4, 180));
  made.show("a", size(640, 360));
  made.show("b", size(99_999, 99_999));
  await settle();
  expect(told).toEqual([["a 640x360", "b 7680x4320", "c paused"]]);
  made.show("b", size(99_999, 99_999));
  made.show("c", size(100, 50));
  await settle();
  expect(told.slice(1)).toEqual([["c 100x50"]]);
});

test("a page that is hidden wants nothing, and has all back when it is seen", async () => {
  const { made, told } = wishes();
  made.setReady(true);
  made.of(["a"]);
  made.show("a", size(640, 360));
  await settle();
  made.setPageHidden(true);
  await settle();
  made.setPageHidden(false);
  await settle();
  expect(told).toEqual([["a 640x360"], ["a paused"], ["a 640x360"]]);
});

test("nothing is told before there is a media node, and everything again to another one", async () => {
  const { made, told } = wishes();
  made.of(["a"]);
  made.show("a", size(640, 360));
  await settle();
  expect(told).toEqual([]);
  made.setReady(true);
  await settle();
  made.again();
  await settle();
  expect(told).toEqual([["a 640x360"], ["a 640x360"]]);
});

test("what could not be told is told later", async () => {
  let refusals = 1;
  const { made, told } = wishes(() => (refusals-- > 0 ? new ConnectError("busy") : undefined));
  made.setReady(true);
  made.of(["a"]);
  await settle();
  expect(told).toEqual([]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(told).toEqual([["a paused"]]);
});
