const interval = 5;
const kept = 2000;

/** How long the event loop has kept others waiting: what is late by no more than that is not to blame. */
export class Stalls {
  readonly #timer: NodeJS.Timeout;
  /** Ends of the latest turns, and by how much they were late. */
  readonly #turns: { readonly end: number; readonly late: number }[] = [];
  #last = performance.now();
  longest = 0;

  constructor() {
    this.#timer = setInterval(() => this.#turn(), interval);
  }

  /** The sum of what the loop was late by since `time`. */
  since(time: number): number {
    let sum = Math.max(0, performance.now() - this.#last - interval);
    for (let at = this.#turns.length - 1; at >= 0; at--) {
      const turn = this.#turns[at];
      if (turn === undefined || turn.end < time) break;
      sum += turn.late;
    }
    return sum;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #turn(): void {
    const end = performance.now();
    const late = Math.max(0, end - this.#last - interval);
    this.#last = end;
    this.longest = Math.max(this.longest, late);
    this.#turns.push({ end, late });
    if (this.#turns.length > 2 * kept) this.#turns.splice(0, kept);
  }
}
