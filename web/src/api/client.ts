/** The clients of Parley's services, over gRPC-Web on this very origin. */
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Pictures } from "../account/pictures";
import { BreakoutService } from "../gen/parley/meeting/v1/breakout_pb";
import { ChatService } from "../gen/parley/meeting/v1/chat_pb";
import { MeetingService } from "../gen/parley/meeting/v1/meeting_pb";
import { ParticipantService } from "../gen/parley/meeting/v1/participant_pb";
import { PollService } from "../gen/parley/meeting/v1/poll_pb";
import { ReportService } from "../gen/parley/meeting/v1/report_pb";
import { ScheduleService } from "../gen/parley/meeting/v1/schedule_pb";
import { SettingsService } from "../gen/parley/meeting/v1/settings_pb";
import { TranscriptService } from "../gen/parley/meeting/v1/transcript_pb";
import { WebhookService } from "../gen/parley/meeting/v1/webhook_pb";
import { SignalingService } from "../gen/parley/signaling/v1/signaling_pb";
import { AccountService } from "../gen/parley/user/v1/account_pb";
import { AdminService } from "../gen/parley/user/v1/admin_pb";
import { ApiKeyService } from "../gen/parley/user/v1/api_key_pb";
import { CredentialService } from "../gen/parley/user/v1/credential_pb";
import { SessionService } from "../gen/parley/user/v1/session_pb";
import { SignInService } from "../gen/parley/user/v1/sign_in_pb";
import { UserService } from "../gen/parley/user/v1/user_pb";
import { isOfTheToken } from "./errors";
import { Session } from "./session";

export { newRequestId } from "./request";

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
    if (!isOfTheToken(error) || !(await session.refresh())) throw error;
    return withToken();
  }
};

const signedIn = createGrpcWebTransport({ baseUrl, defaultTimeoutMs: TIMEOUT_MS, interceptors: [authorize] });
const streaming = createGrpcWebTransport({ baseUrl });
const streamingSignedIn = createGrpcWebTransport({ baseUrl, interceptors: [authorize] });

export const users = createClient(UserService, signedIn);
export const accounts = createClient(AccountService, signedIn);
export const pictures = new Pictures(async (user) => {
  const { contentType, data } = await accounts.getAvatar({ name: user });
  return new Blob([data as BlobPart], { type: contentType });
});
export const credentials = createClient(CredentialService, signedIn);
export const sessions = createClient(SessionService, signedIn);
export const apiKeys = createClient(ApiKeyService, signedIn);
export const admin = createClient(AdminService, signedIn);
/** For those who can't sign in: what comes by mail. */
export const mailed = createClient(CredentialService, open);
export const signIns = createClient(SignInService, open);
export const breakouts = createClient(BreakoutService, signedIn);
export const meetings = createClient(MeetingService, signedIn);
export const participants = createClient(ParticipantService, signedIn);
/** For streams that go on for as long as one waits. */
export const lobby = createClient(ParticipantService, streamingSignedIn);
export const chats = createClient(ChatService, signedIn);
export const polls = createClient(PollService, signedIn);
export const reports = createClient(ReportService, signedIn);
export const transcripts = createClient(TranscriptService, signedIn);
export const schedules = createClient(ScheduleService, signedIn);
export const settings = createClient(SettingsService, signedIn);
export const webhooks = createClient(WebhookService, signedIn);
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
