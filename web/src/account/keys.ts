/** What a filled-in form for an API key means. Pure. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ApiKeyScope } from "../gen/parley/user/v1/api_key_pb";

const DAY_MS = 86_400_000;
/** What the form calls the box of a scope, with the scope's number after it. */
export const SCOPE = "scope.";
/** The scopes in the order of the form; the last is for admins. */
export const SCOPES = [
  { scope: ApiKeyScope.MEETINGS_READ, text: "scope.MEETINGS_READ" },
  { scope: ApiKeyScope.MEETINGS_WRITE, text: "scope.MEETINGS_WRITE" },
  { scope: ApiKeyScope.MEDIA_READ, text: "scope.MEDIA_READ" },
  { scope: ApiKeyScope.MEDIA_WRITE, text: "scope.MEDIA_WRITE" },
  { scope: ApiKeyScope.AI, text: "scope.AI" },
  { scope: ApiKeyScope.EVENTS, text: "scope.EVENTS" },
  { scope: ApiKeyScope.ADMIN, text: "scope.ADMIN" },
] as const;

/** The key that is asked for, at a time in milliseconds since 1970. It has no scopes where none is ticked. */
export function keyOf(values: Record<string, string>, nowMs: number) {
  const days = Number(values.days ?? "");
  return {
    displayName: (values.name ?? "").trim(),
    scopes: SCOPES.map(({ scope }) => scope).filter((scope) => values[`${SCOPE}${scope}`] !== undefined),
    ...(days > 0 ? { expireTime: timestampFromMs(nowMs + days * DAY_MS) } : {}),
  };
}
