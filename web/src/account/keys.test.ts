import { timestampMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ApiKeyScope } from "../gen/parley/user/v1/api_key_pb";
import { keyOf } from "./keys";

test("a key may do what is ticked, and no more", () => {
  const key = keyOf({ name: " calendar ", [`scope.${ApiKeyScope.MEETINGS_WRITE}`]: "on", [`scope.${ApiKeyScope.AI}`]: "on" }, 0);
  expect(key.displayName).toBe("calendar");
  expect(key.scopes).toEqual([ApiKeyScope.MEETINGS_WRITE, ApiKeyScope.AI]);
});

test("a key expires after so many days, or not at all", () => {
  expect(keyOf({ name: "x", days: "" }, 1000)).not.toHaveProperty("expireTime");
  const { expireTime } = keyOf({ name: "x", days: "2" }, 1000);
  expect(expireTime && timestampMs(expireTime)).toBe(1000 + 2 * 86_400_000);
});
