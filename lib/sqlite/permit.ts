import type { Clock } from '../clock.ts';
import type { LeaseControl } from '../driver.ts';
import type { WriteHolder } from '../holder.ts';
import type { LaneEntry, WriteLane } from './lane.ts';

/** What a permit needs to know of the session that has it. */
export interface Writer {
  readonly lease: LeaseControl;
  readonly managed: object | undefined;
  permit: WritePermit | undefined;
  /** Whether a transaction is open, as far as can be told. */
  isInTransaction(): boolean;
}

/**
 * The right to write to a file, held by one session, or about to be.
 *
 * Invariant: whoever makes one and enters the lane with it gives it to a session, which leaves the lane at the end of
 * its lease at the latest, or leaves at once.
 */
export class WritePermit implements LaneEntry {
  readonly #lane: WriteLane;
  readonly #clock: Clock;
  readonly #pool: string;
  readonly #label: string | undefined;
  readonly kind: WriteHolder['kind'];
  /** Whether it is given back at the end of the transaction it was taken for, rather than with the lease. */
  readonly endsWithTransaction: boolean;
  #since: number;
  /** Who writes. `undefined` while the connection is not there yet. */
  session: Writer | undefined;

  constructor(
    lane: WriteLane,
    { clock, pool, label }: { readonly clock: Clock; readonly pool: string; readonly label: string | undefined },
    kind: WriteHolder['kind'],
    endsWithTransaction = false,
  ) {
    this.#lane = lane;
    this.#clock = clock;
    this.#pool = pool;
    this.#label = label;
    this.kind = kind;
    this.endsWithTransaction = endsWithTransaction;
    this.#since = clock.now();
  }

  /** Makes it that of a session. */
  give(session: Writer): void {
    this.session = session;
    this.#since = this.#clock.now();
    session.permit = this;
    session.lease.mode = 'write';
  }

  /** Lets the next one in. */
  leave(): void {
    const { session } = this;
    this.session = undefined;
    if (session?.permit === this) {
      session.permit = undefined;
      session.lease.mode = 'connection';
    }
    this.#lane.leave(this);
  }

  describe(): WriteHolder {
    const { session } = this;
    return {
      pool: this.#pool,
      label: this.#label,
      kind: this.kind,
      age: this.#clock.now() - this.#since,
      lease: session === undefined || session.lease.ended ? undefined : session.lease.describe(),
    };
  }

  isOver(): boolean {
    return this.kind === 'raw transaction' && this.session?.isInTransaction() === false;
  }

  isFor(owner: unknown): boolean {
    const { session } = this;
    if (session === undefined) return false;
    // A scope tells its lease, whatever pool it is of.
    const lease = typeof owner === 'object' && owner !== null && 'lease' in owner ? owner.lease : undefined;
    return owner === session.managed || lease === session.lease;
  }
}
