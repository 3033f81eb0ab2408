/** Who runs a meeting. Pure. */
import { ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";

const CHAIRS: ReadonlySet<ParticipantRole> = new Set([ParticipantRole.HOST, ParticipantRole.COHOST]);

/** Whether a role runs the meeting. */
export function isChair(role: ParticipantRole | undefined): boolean {
  return role !== undefined && CHAIRS.has(role);
}
