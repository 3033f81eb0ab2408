import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";
import { isOfTheToken } from "./errors";

function refusal(reason: string, code = Code.Unauthenticated): ConnectError {
  const error = new ConnectError("no", code);
  error.details = [{ type: ErrorInfoSchema.typeName, value: toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason })) }];
  return error;
}

test("a wrong password in a form is no reason for another token: the server would count the guess twice", () => {
  expect(isOfTheToken(refusal("WRONG_CREDENTIALS"))).toBe(false);
  expect(isOfTheToken(refusal("WRONG_CODE"))).toBe(false);
});

test("a token that is refused is, whoever refuses it", () => {
  expect(isOfTheToken(refusal("SESSION_ENDED"))).toBe(true);
  expect(isOfTheToken(new ConnectError("Jwt is expired", Code.Unauthenticated))).toBe(true);
  expect(isOfTheToken(refusal("PERMISSION_DENIED", Code.PermissionDenied))).toBe(false);
});
