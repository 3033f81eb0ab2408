import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { beforeEach, expect, test, vi } from "vitest";
import { SignInService } from "../gen/parley/user/v1/sign_in_pb";
import { AuthService } from "../gen/parley/user/v1/user_pb";
import { Session } from "./session";

let stored: Map<string, string>;
beforeEach(() => {
  stored = new Map([["parley.refresh_token", "first"]]);
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
});

function server(refresh: (token: string) => string) {
  return createRouterTransport(({ service }) => {
    service(AuthService, {
      refresh: ({ refreshToken }) => ({
        accessToken: `access of ${refreshToken}`,
        refreshToken: refresh(refreshToken),
        expiresIn: 900,
      }),
      register: () => ({ user: { name: "users/new" } }),
    });
    service(SignInService, {
      createGuestSession: ({ displayName }) => ({ user: { displayName }, accessToken: "of a guest", expiresIn: 900 }),
    });
  });
}

test("a refresh token is used once, however many calls need an access token", async () => {
  const used: string[] = [];
  const session = new Session(
    server((token) => {
      used.push(token);
      return "second";
    }),
  );
  const tokens = await Promise.all([session.accessToken(), session.accessToken(), session.accessToken()]);
  expect(tokens).toEqual(Array(3).fill("access of first"));
  expect(used).toEqual(["first"]);
  expect(stored.get("parley.refresh_token")).toBe("second");
});

test("a session that the server has ended is forgotten, and whoever watches is told", async () => {
  const session = new Session(
    server(() => {
      throw new ConnectError("reused", Code.Unauthenticated);
    }),
  );
  const told = vi.fn();
  session.subscribe(told);
  expect(await session.refresh()).toBe(false);
  expect(session.mayBeSignedIn).toBe(false);
  expect(told).toHaveBeenCalled();
});

test("a server that is away ends nothing", async () => {
  const session = new Session(
    server(() => {
      throw new ConnectError("starting", Code.Unavailable);
    }),
  );
  await expect(session.refresh()).rejects.toThrow("starting");
  expect(session.mayBeSignedIn).toBe(true);
});

test("who has to prove an address first is not signed in yet", async () => {
  stored.clear();
  const session = new Session(server((token) => token));
  expect(await session.register("ann", "ann@example.org", "correct horse", "Ann")).toBe(false);
  expect(session.user()).toBeUndefined();
  expect(session.mayBeSignedIn).toBe(false);
});

test("a guest's token is never traded, and leaves alone who has signed in in another tab", async () => {
  const session = new Session(server(() => "second"));
  await session.beGuest("meetings/abc-defg-hij", "Gus");
  expect(await session.accessToken()).toBe("of a guest");
  expect(await session.refresh()).toBe(false);
  expect(session.user()).toBeUndefined();
  expect(stored.get("parley.refresh_token")).toBe("first");
});
