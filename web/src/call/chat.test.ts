import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { type ChatMessage, ChatMessageSchema, ChatService } from "../gen/parley/meeting/v1/chat_pb";
import { ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { ChatPolicy, SettingsSchema } from "../gen/parley/meeting/v1/settings_pb";
import { Chat, merged, opennessTo, otherOf } from "./chat";

const ME = "meetings/m/participants/me";
const BOB = "meetings/m/participants/bob";

function message(at: number, text: string, rest: { sender?: string; edited?: number; deleted?: number } = {}): ChatMessage {
  return create(ChatMessageSchema, {
    name: `meetings/m/chatMessages/${at}`,
    sender: rest.sender ?? BOB,
    text,
    createTime: timestampFromMs(at),
    editTime: rest.edited === undefined ? undefined : timestampFromMs(rest.edited),
    deleteTime: rest.deleted === undefined ? undefined : timestampFromMs(rest.deleted),
  });
}

const texts = (messages: readonly ChatMessage[]) => messages.map(({ text }) => text);
const changed = (chatMessage: ChatMessage) => ({ case: "chatChanged", value: { chatMessage } }) as never;

/** A chat whose server has pages of messages, and fails to answer as often as it is told. */
function chat(pages: ChatMessage[][], failures = 0) {
  const requests: string[] = [];
  let left = failures;
  const transport = createRouterTransport(({ service }) => {
    service(ChatService, {
      listChatMessages: ({ pageToken }) => {
        const page = Number(pageToken || 0);
        return { chatMessages: pages[page] ?? [], nextPageToken: page + 1 < pages.length ? String(page + 1) : "" };
      },
      createChatMessage: ({ requestId, chatMessage }) => {
        requests.push(requestId);
        if (left-- > 0) throw new ConnectError("gone", Code.Unavailable);
        return message(90, chatMessage?.text ?? "", { sender: ME });
      },
    });
  });
  return { chat: new Chat(createClient(ChatService, transport), "meetings/m"), requests };
}

test("what was changed last stands, whichever comes first", () => {
  const edited = message(1, "new", { edited: 5 });
  const deleted = message(1, "", { deleted: 4 });
  expect(texts(merged([edited], [message(1, "old"), message(0, "first")]))).toEqual(["first", "new"]);
  expect(texts(merged([deleted], [edited]))).toEqual([""]);
  expect(texts(merged([message(1, "old")], [edited]))).toEqual(["new"]);
});

test("what others write is unread until one looks, and what one wrote oneself never is", async () => {
  const { chat: room } = chat([[message(1, "before we came")]]);
  await room.enter(ME);
  room.said(changed(message(2, "hello")));
  room.said(changed(message(2, "hello!", { edited: 3 })));
  room.said(changed(message(4, "mine", { sender: ME })));
  expect(room.state).toMatchObject({ unread: 1, latest: { text: "hello" } });
  expect(texts(room.state.messages)).toEqual(["before we came", "hello!", "mine"]);
  room.setOpen(true);
  room.said(changed(message(5, "seen at once")));
  expect(room.state.unread).toBe(0);
});

test("history is read page by page, and what changes in a page to come is read with it", async () => {
  const { chat: room } = chat([[message(9, "late")], [message(2, "early", { edited: 20 }), message(1, "first")]]);
  await room.enter(ME);
  room.said(changed(message(2, "early", { edited: 20 })));
  expect(texts(room.state.messages)).toEqual(["late"]);
  expect(room.state.hasEarlier).toBe(true);
  await room.earlier();
  expect(texts(room.state.messages)).toEqual(["first", "early", "late"]);
  expect(room.state.hasEarlier).toBe(false);
});

test("what was missed when the conversation had to begin anew is read, and is as it is now", async () => {
  const pages = [[message(1, "before")]];
  const { chat: room } = chat(pages);
  await room.enter(ME);
  pages[0] = [message(2, "missed"), message(1, "edited", { edited: 3 })];
  room.said({ case: "joined", value: { participant: { name: ME } } } as never);
  await vi.waitFor(() => expect(texts(room.state.messages)).toEqual(["edited", "missed"]));
});

test("a message that is sent again after a failure is the same one; the next is another, be its words the same", async () => {
  const { chat: room, requests } = chat([[]], 1);
  const draft = { text: "hi", recipient: "", replyTo: "" };
  await expect(room.send(draft)).rejects.toThrow("gone");
  await room.send(draft);
  await room.send(draft);
  expect(requests[1]).toBe(requests[0]);
  expect(requests[2]).not.toBe(requests[0]);
});

test("a policy leaves to each what it says", () => {
  const under = (chatPolicy: ChatPolicy, role = ParticipantRole.PARTICIPANT) =>
    opennessTo(create(SettingsSchema, { chatPolicy }), role);
  expect(opennessTo(undefined, undefined)).toBe("open");
  expect(under(ChatPolicy.EVERYONE)).toBe("open");
  expect(under(ChatPolicy.PUBLIC, ParticipantRole.HOST)).toBe("public");
  expect(under(ChatPolicy.HOSTS)).toBe("hosts");
  expect(under(ChatPolicy.HOSTS, ParticipantRole.COHOST)).toBe("open");
  expect(under(ChatPolicy.OFF, ParticipantRole.HOST)).toBe("off");
});

test("a private message is answered to the other of its two", () => {
  const mine = create(ChatMessageSchema, { sender: ME, recipient: BOB });
  const theirs = create(ChatMessageSchema, { sender: BOB, recipient: ME });
  expect([otherOf(mine, ME), otherOf(theirs, ME)]).toEqual([BOB, BOB]);
});
