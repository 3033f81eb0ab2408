/** What those who run a meeting do with it and with the others in it. */
import { meetings, participants } from "../api/client";
import type { ParticipantGrants, ParticipantRole } from "../gen/parley/meeting/v1/meeting_pb";
import type { MuteTarget } from "../gen/parley/meeting/v1/participant_pb";

/** People are given by their participants' names. */
export interface Control {
  admit: (name: string) => void;
  admitAll: () => void;
  deny: (name: string) => void;
  mute: (name: string, target: MuteTarget) => void;
  muteAll: (target: MuteTarget) => void;
  askToUnmute: (name: string, target: MuteTarget) => void;
  setRole: (name: string, role: ParticipantRole) => void;
  setGrants: (name: string, grants: ParticipantGrants) => void;
  remove: (name: string, ban: boolean) => void;
  setLocked: (locked: boolean) => void;
}

/** `attempt` tells what goes wrong. `meeting`: `meetings/{code}`. */
export function controlOf(meeting: string, attempt: (work: Promise<unknown>) => void): Control {
  return {
    admit: (name) => attempt(participants.admitParticipant({ name })),
    admitAll: () => attempt(participants.admitAllParticipants({ parent: meeting })),
    deny: (name) => attempt(participants.denyParticipant({ name })),
    mute: (name, target) => attempt(participants.muteParticipant({ name, target })),
    muteAll: (target) => attempt(participants.muteAllParticipants({ parent: meeting, target })),
    askToUnmute: (name, target) => attempt(participants.askToUnmute({ name, target })),
    setRole: (name, role) => attempt(participants.setParticipantRole({ name, role })),
    setGrants: (name, grants) => attempt(participants.setParticipantGrants({ name, grants })),
    remove: (name, ban) => attempt(participants.removeParticipant({ name, ban })),
    setLocked: (locked) => attempt(locked ? meetings.lockMeeting({ name: meeting }) : meetings.unlockMeeting({ name: meeting })),
  };
}
