/** Which counters have been seen: each is taken once, and none that is further back than the window. RFC 4303 §3.4.3. */
export const WINDOW = 1024;

export class ReplayWindow {
  #highest = -1;
  readonly #seen = new Uint8Array(WINDOW);

  /** Tell whether a counter can still be taken. */
  isFresh(counter: number): boolean {
    if (counter > this.#highest) return true;
    return this.#highest - counter < WINDOW && this.#seen[counter % WINDOW] === 0;
  }

  /** Take a counter; false when it is too old, or was taken before. */
  take(counter: number): boolean {
    if (!this.isFresh(counter)) return false;
    if (counter - this.#highest >= WINDOW) this.#seen.fill(0);
    else for (let next = this.#highest + 1; next < counter; next++) this.#seen[next % WINDOW] = 0;
    this.#seen[counter % WINDOW] = 1;
    this.#highest = Math.max(this.#highest, counter);
    return true;
  }
}
