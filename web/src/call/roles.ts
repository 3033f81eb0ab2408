/** Who runs a meeting, and what each may send. Pure. */
import { type Participant, ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import { type Source, SOURCES } from "./sources";

const CHAIRS: ReadonlySet<ParticipantRole> = new Set([ParticipantRole.HOST, ParticipantRole.COHOST]);

/** Whether a role runs the meeting. */
export function isChair(role: ParticipantRole | undefined): boolean {
  return role !== undefined && CHAIRS.has(role);
}

/** Whether somebody runs the meeting: who may administer does, whatever the role. */
export function runs(participant: Participant | undefined): boolean {
  if (participant === undefined) return false;
  return participant.role === ParticipantRole.HOST || (participant.grants?.administer ?? isChair(participant.role));
}

/** Whether somebody who runs the meeting may take out another and change what they may do: nobody acts on who stands above them. */
export function mayActOn(me: Participant | undefined, other: Participant): boolean {
  if (!runs(me) || me?.name === other.name) return false;
  return other.role !== ParticipantRole.HOST;
}

/** What somebody may send; all, where nothing is said. */
export function grantedTo(participant: Participant | undefined): ReadonlySet<Source> {
  const grants = participant?.grants;
  if (grants === undefined) return new Set(SOURCES);
  const { publishAudio, publishVideo, publishScreen } = grants;
  const may: Readonly<Record<Source, boolean>> = {
    microphone: publishAudio,
    camera: publishVideo,
    screen: publishScreen,
    screenAudio: publishScreen,
  };
  return new Set(SOURCES.filter((source) => may[source]));
}
