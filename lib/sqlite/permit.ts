import type { Clock } from '../clock.ts';
import type { LeaseControl } from '../driver.ts';
import type { LeaseMode, Site, WriteHolder } from '../holder.ts';
import { stackOf } from '../wording.ts';
import type { LaneEntry, WriteLane } from './lane.ts';

/** What a permit needs to know of the session that has it. */
export interface Writer {
  readonly lease: LeaseControl;
  readonly managed: object | undefined;
  permit: WritePermit | undefined;
  /** Whether SQLite's lock may be held for something that has no claim. */
  mayHoldLock(): boolean;
  /** What the lease is for without the permit. */
  readonly modeWithout: LeaseMode;
  /** It has the permit. */
  arrived(permit: WritePermit): void;
}

export interface PermitContext {
  readonly clock: Clock;
  /** Name of the pool. */
  readonly pool: string;
  readonly label: string | undefined;
  readonly site: Site | undefined;
}

/** What a session may write for. */
export type Claim = Exclude<WriteHolder['kind'], 'raw transaction'>;

/**
 * The right to write to a file, of one session, or of one that is about to get a connection. Several parts of a session
 * may claim it at a time; a transaction that was begun by SQL keeps it without a claim.
 *
 * Invariant: whoever makes one and enters the lane with it gives it to a session, which leaves the lane at the end of
 * its lease at the latest, or leaves at once.
 */
export class WritePermit implements LaneEntry {
  readonly #lane: WriteLane;
  readonly #clock: Clock;
  readonly #pool: string;
  readonly #label: string | undefined;
  /** Where it was asked for, while stacks are captured. */
  readonly #site: Site | undefined;
  /** What it is for, the first claim first. */
  readonly #claims: Claim[];
  /** When a session got it; 0 until then. */
  #since = 0;
  /** Who writes. `undefined` while the connection is not there yet. */
  #session: Writer | undefined;

  constructor(lane: WriteLane, { clock, pool, label, site }: PermitContext, claim?: Claim) {
    this.#lane = lane;
    this.#clock = clock;
    this.#pool = pool;
    this.#label = label;
    this.#site = site;
    this.#claims = claim === undefined ? [] : [claim];
  }

  /** Makes it that of a session. Leaves and throws where the lease has ended, which nobody would end once more. */
  give(session: Writer): void {
    if (session.lease.ended) {
      this.leave();
      throw session.lease.endedError();
    }
    this.#session = session;
    this.#since = this.#clock.now();
    session.permit = this;
    session.lease.mode = 'write';
    // It is there to stay for those who wait beside it. A transaction or a statement they have to let pass.
    if (this.#claims[0] === 'write scope') session.arrived(this);
  }

  claim(claim: Claim): void {
    this.#claims.push(claim);
  }

  /** One part has done with it. */
  drop(claim: Claim): void {
    const index = this.#claims.lastIndexOf(claim);
    if (index !== -1) this.#claims.splice(index, 1);
    if (this.#claims.length > 0 || this.#session?.mayHoldLock() === true) return;
    // Whoever is refused in the step in which it leaves is told what it was.
    this.#claims.push(claim);
    this.leave();
  }

  /** Leaves where nobody has a claim, and nothing is open without one: a transaction that was begun by SQL. */
  settle(): void {
    if (this.#claims.length === 0 && this.#session?.mayHoldLock() !== true) this.leave();
  }

  /** Lets the next one in. */
  leave(): void {
    const session = this.#session;
    if (session?.permit === this) {
      session.permit = undefined;
      session.lease.mode = session.modeWithout;
    }
    this.#lane.leave(this);
    this.#session = undefined;
  }

  describe(): WriteHolder {
    const session = this.#session;
    const stack = stackOf(this.#site);
    return {
      pool: this.#pool,
      label: this.#label,
      kind: this.#claims[0] ?? 'raw transaction',
      age: this.#since === 0 ? 0 : this.#clock.now() - this.#since,
      lease: session === undefined || session.lease.ended ? undefined : session.lease.describe(),
      ...(stack !== undefined && { stack }),
    };
  }

  waits(pool: string, poolId: number): boolean {
    const lease = this.#session?.lease;
    // Statements come to their end by themselves.
    if (this.#claims.length > 0 && this.#claims.every((claim) => claim === 'statement')) return false;
    return lease?.pool === pool && lease.poolId === poolId && lease.scope !== undefined && lease.scope.waiting > 0;
  }

  isAround(owner: object | undefined, scope: object | undefined): boolean {
    const session = this.#session;
    if (session === undefined) return false;
    if (owner !== undefined && owner === session.managed) return true;
    // A transaction is around those in it, not around all of its scope.
    const isOfScope = this.#claims.length === 0 || this.#claims.includes('write scope');
    return isOfScope && scope !== undefined && scope === session.lease.scope;
  }
}
