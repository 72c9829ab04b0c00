import type { LeaseMode } from '../holder.ts';
import type { ObservedLease } from '../observer.ts';
import type { Span } from './wire.ts';

// Of each kind. A lease that writes more often has the last one stretched.
const mostSpans = 20;

const none: readonly Span[] = [];

/**
 * What is known of a lease that is held, beside what it tells of itself. Most have none: who waited for nobody and is in no
 * transaction. Times are those of the pool's clock.
 */
export class Track {
  readonly waited: number;
  #writes: readonly Span[] = none;
  #reads: readonly Span[] = none;
  #turnedAt: number;

  constructor(waited: number, startedAt: number) {
    this.waited = waited;
    this.#turnedAt = startedAt;
  }

  /** What it was until `now` is over. */
  turn(was: LeaseMode, now: number): void {
    this.#writes = this.#with(this.writes, was === 'write', now);
    this.#reads = this.#with(this.reads, was === 'read', now);
    this.#turnedAt = now;
  }

  get writes(): readonly Span[] {
    return this.#writes;
  }

  get reads(): readonly Span[] {
    return this.#reads;
  }

  /** The spans until `now`, of a lease that goes on. */
  present(mode: LeaseMode, now: number): { readonly writes: readonly Span[]; readonly reads: readonly Span[] } {
    return {
      writes: this.#with(this.writes, mode === 'write', now),
      reads: this.#with(this.reads, mode === 'read', now),
    };
  }

  /** Some spans, and where it was so until `now` that one as well. */
  #with(spans: readonly Span[], wasSo: boolean, now: number): readonly Span[] {
    if (!wasSo) return spans;
    const last = spans[mostSpans - 1];
    return last === undefined ? [...spans, [this.#turnedAt, now]] : [...spans.slice(0, -1), [last[0], now]];
  }
}

/** The tracks of the leases of a pool that have one. One that is in a transaction without a track was so from the beginning. */
export class Tracks {
  readonly #tracks = new Map<number, Track>();
  readonly #since: number;

  /** @param since when the recording began */
  constructor(since: number) {
    this.#since = since;
  }

  get(lease: number, mode: LeaseMode): Track | undefined {
    return this.#tracks.get(lease) ?? (mode === 'connection' ? undefined : new Track(0, this.#since));
  }

  began(lease: ObservedLease, waited: number): void {
    if (waited > 0) this.#tracks.set(lease.id, new Track(waited, lease.startedAt));
  }

  turns(lease: ObservedLease, now: number): void {
    const track = this.get(lease.id, lease.mode) ?? new Track(0, now);
    this.#tracks.set(lease.id, track);
    track.turn(lease.mode, now);
  }

  /** Takes it out, whole. */
  end(lease: ObservedLease, now: number): Track | undefined {
    const track = this.get(lease.id, lease.mode);
    if (track === undefined) return undefined;
    this.#tracks.delete(lease.id);
    track.turn(lease.mode, now);
    return track;
  }
}
