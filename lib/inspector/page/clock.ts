// How many samples are looked back on. The least delayed of them is nearest to the truth.
const kept = 20;
// Of a second of the browser, how much the shown time may go faster or slower to get back to the truth unnoticed.
const easing = 0.05;
// Beyond this it jumps: a clock was set, or a computer slept.
const leap = 2000;

/**
 * The time of day of the server, told by the clock of the browser: of that only the differences count, so that it may be
 * wrong by years. A report that was under way for long makes the server look slow, never fast.
 */
export class ServerClock {
  #offsets: number[] = [];
  #offset: number | undefined;
  #asked = 0;

  /** `server` is the time of day that was told, `local` a time that only goes forward, as `performance.now()`. */
  sample(server: number, local: number): void {
    const offset = server - local;
    if (this.#offset !== undefined && Math.abs(offset - this.#target()) > leap) this.#offsets = [];
    this.#offsets.push(offset);
    if (this.#offsets.length > kept) this.#offsets.shift();
    if (this.#offset === undefined) {
      this.#offset = offset;
      this.#asked = local;
    }
  }

  /** `undefined` before the first sample. */
  now(local: number): number | undefined {
    if (this.#offset === undefined) return undefined;
    const behind = this.#target() - this.#offset;
    const most = Math.max(0, local - this.#asked) * easing;
    this.#offset += Math.abs(behind) > leap ? behind : Math.max(-most, Math.min(most, behind));
    this.#asked = local;
    return local + this.#offset;
  }

  /** Another server has another clock. */
  forget(): void {
    this.#offsets = [];
    this.#offset = undefined;
  }

  #target(): number {
    return Math.max(...this.#offsets);
  }
}

/**
 * The time at the right edge. It follows the server by a little more than a tick, so that what is shown there is known: else
 * each report would draw the last half second anew. It never runs ahead of what was told, so that it stops where data do.
 */
export function playhead(clock: number, told: number, interval: number): number {
  return Math.min(clock - interval - 200, told);
}
