/** Breakout rooms: the time that is left, and the way from one room to another. Pure but for what it is given. */

/** How long there still is, `m:ss`; never less than nothing. */
export function remaining(until: number, now: number): string {
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  return `${Math.trunc(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const ATTEMPTS = 4;
const DELAY_MS = 1_000;

/** Try to get into a room, again and again for a while; fails as the last attempt does. */
export async function insistently<T>(
  enter: () => Promise<T>,
  helps: (error: unknown) => boolean,
  pause: (milliseconds: number) => Promise<void> = wait,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await enter();
    } catch (error) {
      if (attempt >= ATTEMPTS || !helps(error)) throw error;
      await pause(attempt * DELAY_MS);
    }
  }
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
