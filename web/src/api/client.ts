/** The clients of Parley's services, over gRPC-Web on this very origin. */
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { BreakoutService } from "../gen/parley/meeting/v1/breakout_pb";
import { MeetingService } from "../gen/parley/meeting/v1/meeting_pb";
import { ParticipantService } from "../gen/parley/meeting/v1/participant_pb";
import { SettingsService } from "../gen/parley/meeting/v1/settings_pb";
import { TranscriptService } from "../gen/parley/meeting/v1/transcript_pb";
import { SignalingService } from "../gen/parley/signaling/v1/signaling_pb";
import { UserService } from "../gen/parley/user/v1/user_pb";
import { Session } from "./session";

const baseUrl = location.origin;
const TIMEOUT_MS = 15_000;

const open = createGrpcWebTransport({ baseUrl, defaultTimeoutMs: TIMEOUT_MS });
export const session = new Session(open);

/** Adds the access token; when the server finds it expired after all, refreshes once and tries again. */
const authorize: Interceptor = (next) => async (request) => {
  const withToken = async () => {
    request.header.set("authorization", `Bearer ${await session.accessToken()}`);
    return next(request);
  };
  try {
    return await withToken();
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Unauthenticated || !(await session.refresh())) throw error;
    return withToken();
  }
};

const signedIn = createGrpcWebTransport({ baseUrl, defaultTimeoutMs: TIMEOUT_MS, interceptors: [authorize] });
const streaming = createGrpcWebTransport({ baseUrl });

export const users = createClient(UserService, signedIn);
export const breakouts = createClient(BreakoutService, signedIn);
export const meetings = createClient(MeetingService, signedIn);
export const participants = createClient(ParticipantService, signedIn);
export const transcripts = createClient(TranscriptService, signedIn);
export const settings = createClient(SettingsService, signedIn);
export const signaling = createClient(SignalingService, streaming);

/** Sign in again with what is stored, if there is anything. */
export async function restore(): Promise<void> {
  if (!session.mayBeSignedIn) return;
  try {
    session.setUser(await users.getUser({ name: "users/me" }));
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
    session.forget();
  }
}

/** Make a UUID (version 4, RFC 9562) for `request_id`. crypto.randomUUID is for secure contexts alone. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
