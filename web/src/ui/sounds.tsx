/** Everybody's sound, whether or not their tile is on the stage. */
import type { CallState } from "../call/call";
import { arriving } from "../call/room";
import { Playing } from "./parts";

export function Sounds({ state }: { state: CallState }) {
  const others = state.participants.filter(({ name }) => name !== state.me);
  return others.flatMap(({ name }) =>
    (["microphone", "screenAudio"] as const).flatMap((source) => {
      const sounds = arriving(state, name, source);
      const heard = sounds.filter(({ id }) => state.arrived.has(id)).at(-1) ?? sounds[0];
      return sounds.map((sound) => <Playing key={sound.id} track={sound.track} silent={sound !== heard} />);
    }),
  );
}
