/** Waiting in the lobby until a host has decided: over a stream that is opened anew where it breaks off. */
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { type JoinMeetingResponse, ParticipantState } from "../gen/parley/meeting/v1/meeting_pb";
import type { ParticipantService } from "../gen/parley/meeting/v1/participant_pb";

const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;
/** What another try may help against; whoever is asked too often says how long to wait by the same codes. */
const PASSING: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Unknown,
  Code.Internal,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
]);

/** How waiting ends: with all that is needed to come in, with a refusal, or because we have not been seen waiting for long. */
export type Decision = JoinMeetingResponse | "denied" | "gone";

/**
 * Wait as `participant`; `stands` is told how many are before. Rejects where there is nothing more to wait for: the
 * meeting is over, or the place in the lobby is lost; and when `signal` is given.
 */
export async function awaitAdmission(
  service: Client<typeof ParticipantService>,
  participant: string,
  stands: (ahead: number) => void,
  signal: AbortSignal,
): Promise<Decision> {
  for (let delay = RETRY_MS; ; delay = Math.min(2 * delay, LONGEST_RETRY_MS)) {
    try {
      for await (const said of service.waitForAdmission({ name: participant }, { signal })) {
        delay = RETRY_MS;
        if (said.admission !== undefined) return said.admission;
        if (said.participant?.state === ParticipantState.DENIED) return "denied";
        if (said.participant?.state === ParticipantState.LEFT) return "gone";
        stands(said.aheadCount);
      }
    } catch (error) {
      if (signal.aborted || !PASSING.has(ConnectError.from(error).code)) throw error;
    }
    await pause(delay, signal);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(end);
      reject(new ConnectError("aborted", Code.Canceled));
    });
  });
}
