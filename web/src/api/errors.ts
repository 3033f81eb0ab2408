/** What went wrong, by the reason that the server gives (google.rpc.ErrorInfo), or by the kind of failure. */
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb";

/** Something that the app itself has to tell, in the words of its dictionaries. */
export class Complaint extends Error {}

export function reasonOf(error: unknown): string {
  const connect = ConnectError.from(error);
  const info = connect.findDetails(ErrorInfoSchema)[0];
  return info?.reason ?? Code[connect.code].toUpperCase();
}

/** The server's own words for people, for reasons that the app has none for. */
export function textOf(error: unknown): string {
  return ConnectError.from(error).rawMessage;
}
