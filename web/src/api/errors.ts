/** What went wrong, by the reason that the server gives (google.rpc.ErrorInfo), or by the kind of failure. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb";

/** Something that the app itself has to tell, in the words of its dictionaries. */
export class Complaint extends Error {}

/** What the server says of a password or a code in the request, not of the token that the request came with. */
const ABOUT_THE_REQUEST = ["WRONG_CREDENTIALS", "WRONG_CODE"];

/** Whether the token was refused, so that another may help. */
export function isOfTheToken(error: unknown): boolean {
  return ConnectError.from(error).code === Code.Unauthenticated && !ABOUT_THE_REQUEST.includes(reasonOf(error));
}

export function reasonOf(error: unknown): string {
  const connect = ConnectError.from(error);
  const info = connect.findDetails(ErrorInfoSchema)[0];
  return info?.reason ?? Code[connect.code].toUpperCase();
}

/** In how many milliseconds the server would be asked again (google.rpc.RetryInfo); 0 where it does not say. */
export function retryMs(error: unknown): number {
  const delay = ConnectError.from(error).findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay === undefined ? 0 : durationMs(delay);
}

/** The server's own words for people, for reasons that the app has none for. */
export function textOf(error: unknown): string {
  return ConnectError.from(error).rawMessage;
}
