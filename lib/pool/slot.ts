import type { ConnectionInfo } from '../driver.ts';
import type { LeasableSlot, Lease } from '../lease.ts';

/** A lease of this pool. */
export type SlotLease<Connection extends object, Handle extends object> = Lease<Slot<Connection, Handle>, Handle>;

/** The handle of a lease that has just been made. */
export function handleOf<Connection extends object, Handle extends object>(
  lease: SlotLease<Connection, Handle>,
): Handle {
  return lease.handle as Handle;
}

/** The last number given to a connection and to a lease, each unique in its pool. */
export interface Numbers {
  connection: number;
  lease: number;
}

/** A place in the pool, with the one open connection it is for. It leaves the pool when that is closed. */
export class Slot<Connection extends object, Handle extends object> implements LeasableSlot {
  /** Number of the connection, unique in its pool. */
  readonly id: number;
  readonly connection: Connection;
  readonly openedAt: number;
  /** Time at which it is too old, `Infinity` without a `maxLifetime`. */
  readonly expiresAt: number;
  /** Leases that have begun on it. */
  uses = 0;
  /** When it last came back, or was opened. */
  idleSince: number;
  /** When it was last found to be still there. */
  validatedAt = -Infinity;
  /** The lease that holds it now. Idle slots and those between two leases have none. */
  lease: SlotLease<Connection, Handle> | undefined;
  /** Why it will be closed at its next return, `undefined` while it may be pooled. */
  retired: string | undefined;

  constructor(id: number, connection: Connection, openedAt: number, maxLifetime: number) {
    this.id = id;
    this.connection = connection;
    this.openedAt = openedAt;
    this.idleSince = openedAt;
    // Up to 5 % earlier, so that connections opened together do not close together.
    this.expiresAt = openedAt + maxLifetime * (1 - 0.05 * Math.random());
  }

  /** For how long nothing has been heard of it. */
  silentFor(now: number): number {
    return now - Math.max(this.idleSince, this.validatedAt);
  }

  /** The first reason is kept. */
  retire(reason: string): void {
    this.retired ??= reason;
  }

  info(now: number): ConnectionInfo {
    return { age: now - this.openedAt, idleFor: now - this.idleSince, uses: this.uses };
  }
}
