import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { applyUpdate, Doc, encodeStateAsUpdate } from "yjs";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";
import { ReportService } from "../gen/parley/meeting/v1/report_pb";
import { Notes } from "./notes";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function refusal(code: Code, reason: string): ConnectError {
  return new ConnectError(reason, code, undefined, [{ desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason }) }]);
}

/** A server with notes, and people who write in them. It refuses as often as it is told, and loses what it refuses. */
function server() {
  const document = new Doc();
  const people: Notes[] = [];
  const refusals: ConnectError[] = [];
  const sizes: number[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(ReportService, { getNotes: () => ({ document: encodeStateAsUpdate(document) }) });
  });
  const enter = async () => {
    const notes = new Notes(createClient(ReportService, transport), "meetings/m", async (update) => {
      const refused = refusals.shift();
      if (refused !== undefined) throw refused;
      sizes.push(update.length);
      applyUpdate(document, update);
      for (const each of people) each.said({ case: "notesUpdated", value: { update } } as never);
    });
    people.push(notes);
    await notes.enter();
    return notes;
  };
  const settle = () => vi.advanceTimersByTimeAsync(10_000);
  return { enter, settle, refusals, sizes, text: () => document.getText("notes").toJSON() };
}

test("two who write at once come to the same text, and who comes later reads it", async () => {
  const { enter, settle, text } = server();
  const [ann, bob] = [await enter(), await enter()];
  ann.write("", "agenda");
  await settle();
  ann.write("agenda", "the agenda");
  bob.write("agenda", "agenda: 😀");
  await settle();
  expect([ann.text, bob.text, text(), (await enter()).text]).toEqual(Array(4).fill("the agenda: 😀"));
  expect(ann.state).toMatchObject({ isReady: true, isUnsent: false, error: undefined });
});

test("what was composed while others wrote comes to its place", async () => {
  const { enter, settle } = server();
  const [ann, bob] = [await enter(), await enter()];
  ann.write("", "one three");
  await settle();
  const missed: never[] = [];
  bob.watch((change) => missed.push(change as never));
  ann.write("one three", "0 one three");
  await settle();
  bob.write("one three", "one 二 three", missed);
  await settle();
  expect([ann.text, bob.text]).toEqual(Array(2).fill("0 one 二 three"));
});

test("what is too large for one update is sent in several", async () => {
  const { enter, settle, sizes, text } = server();
  const ann = await enter();
  ann.write("", "字".repeat(60_000));
  await settle();
  expect(text()).toBe("字".repeat(60_000));
  expect(sizes.length).toBeGreaterThan(1);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(64 * 1024);
});

test("a server that is away is asked again, and nothing is lost", async () => {
  const { enter, settle, refusals, text } = server();
  const ann = await enter();
  refusals.push(refusal(Code.Unavailable, "UNAVAILABLE"), refusal(Code.ResourceExhausted, "RATE_LIMITED"));
  ann.write("", "kept");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ann.state).toMatchObject({ isUnsent: true });
  await settle();
  expect(text()).toBe("kept");
  expect(ann.state).toMatchObject({ isUnsent: false, error: undefined });
});

test("a server that lacks something gets all that it lacks", async () => {
  const { enter, settle, refusals, text } = server();
  const [ann, bob] = [await enter(), await enter()];
  ann.write("", "ann ");
  bob.write("", "bob ");
  refusals.push(refusal(Code.FailedPrecondition, "NOTES_BEHIND"));
  await settle();
  expect(text()).toContain("ann ");
  expect(text()).toContain("bob ");
  expect(ann.text).toBe(text());
});

test("what may not be written is said, and not tried again until something is written", async () => {
  const { enter, settle, refusals, text } = server();
  const ann = await enter();
  refusals.push(refusal(Code.PermissionDenied, "NOTES_NOT_ALLOWED"));
  ann.write("", "a");
  await settle();
  expect(text()).toBe("");
  expect(ann.state).toMatchObject({ isUnsent: true, error: expect.any(ConnectError) as unknown });
  ann.write("a", "ab");
  await settle();
  expect(text()).toBe("ab");
});
