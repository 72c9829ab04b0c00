import { insert } from './busy-connection.ts';
import type { EndedLease } from './ended-lease.ts';

const mostLongest = 20;

// For how long one is remembered, and in how many parts: the oldest part is dropped as a whole.
const rememberedFor = 600_000;
const parts = 10;
const part = rememberedFor / parts;

/** The longest leases of the last ten minutes, by the time of day. Keeps those of each minute, so that what is dropped leaves no gap. */
export class Longest {
  /** Newest first, each longest first. */
  readonly #parts: { readonly since: number; readonly leases: EndedLease[] }[] = [];

  /** Whether one that was held for so long belongs here. */
  takes(held: number, now: number): boolean {
    const [newest] = this.#parts;
    const shortest = newest?.leases[mostLongest - 1];
    return newest === undefined || now - newest.since >= part || shortest === undefined || held > shortest.held;
  }

  add(lease: EndedLease, now: number): void {
    let [newest] = this.#parts;
    if (newest === undefined || now - newest.since >= part) {
      newest = { since: now, leases: [] };
      this.#parts.unshift(newest);
      if (this.#parts.length > parts + 1) this.#parts.pop();
    }
    insert(newest.leases, lease);
    if (newest.leases.length > mostLongest) newest.leases.pop();
  }

  list(now: number): EndedLease[] {
    const all = this.#parts.flatMap(({ leases }) => leases).filter(({ bar }) => now - bar.to < rememberedFor);
    return all.toSorted((a, b) => b.held - a.held).slice(0, mostLongest);
  }
}
