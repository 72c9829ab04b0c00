import type { EndedLease } from './ended-lease.ts';
import { labelOf } from './excerpt.ts';
import type { Rest, Span } from './wire.ts';

// At 2 ticks a second, 8 leases of each connection a second stand for themselves: more can not be told apart on a screen.
const mostBars = 4;

/** The leases on one connection that ended within a tick: the longest few whole, the others summed up. */
export class BusyConnection {
  readonly #id: number;
  readonly #mostBars: number;
  /** Longest first. */
  readonly kept: EndedLease[] = [];
  #leases = 0;
  #held = 0;
  #wrote = 0;
  #waited = 0;
  #label: string | undefined;
  /** How much more often the label of the rest has come than all others. */
  #lead = 0;

  /** @param isTold whether any of its leases is to stand for itself */
  constructor(id: number, isTold: boolean) {
    this.#id = id;
    this.#mostBars = isTold ? mostBars : 0;
  }

  /** Whether one that was held for so long would be kept whole. If not, it is counted by `sum`. */
  keeps(held: number): boolean {
    const shortest = this.kept[this.#mostBars - 1];
    return this.#mostBars > 0 && (shortest === undefined || held > shortest.held);
  }

  keep(lease: EndedLease): void {
    insert(this.kept, lease);
    const out = this.kept.length > this.#mostBars ? this.kept.pop() : undefined;
    if (out !== undefined) this.sum(out.bar.label, out.held, out.bar.waited, lengthOf(out.bar.writes));
  }

  sum(label: string | undefined, held: number, waited: number, wrote: number): void {
    this.#leases++;
    this.#held += held;
    this.#wrote += wrote;
    this.#waited += waited;
    // The majority vote of Boyer and Moore: one counter, and the label of the most is never missed.
    if (this.#lead === 0) this.#label = label;
    this.#lead += this.#label === label ? 1 : -1;
  }

  get rest(): Rest | undefined {
    if (this.#leases === 0) return undefined;
    return {
      connection: this.#id,
      leases: this.#leases,
      held: this.#held,
      wrote: this.#wrote,
      waited: this.#waited,
      label: labelOf(this.#label),
    };
  }
}

/** Puts a lease into a list whose longest come first. */
export function insert(leases: EndedLease[], lease: EndedLease): void {
  leases.splice(leases.findLastIndex(({ held }) => held >= lease.held) + 1, 0, lease);
}

export function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0);
}
