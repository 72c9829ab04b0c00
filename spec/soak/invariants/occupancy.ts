/** One who uses a connection. */
export interface Occupant {
  /** Number of the connection, as the connection itself tells. */
  readonly connection: number;
  readonly who: string;
  /** Whether it is the connection that the write lane has beside `max`. */
  readonly isLane: boolean;
  /** Which pool it is of. */
  readonly pool: string;
  /** Whether the lease is still held: it may have been taken away, or given back for a signal, while its holder waits. */
  isHeld(): boolean;
}

/** Who uses which connection now. The pool's own accounts play no part in it. */
export class Occupancy {
  readonly #occupants = new Map<number, Occupant>();
  readonly #ceilings = new Map<string, { max: number; allowed: number }>();

  /** From now on a pool may lend so many at once. Leases in use go on: `leased` are. */
  limit(pool: string, max: number, leased = 0): void {
    this.#ceilings.set(pool, { max, allowed: Math.max(max, leased) });
  }

  /** Notes an occupant. What is returned is what is wrong with that. */
  enter(occupant: Occupant): string | undefined {
    const { connection, who, isLane, pool } = occupant;
    const other = this.#occupants.get(connection);
    if (other?.isHeld() === true) return `${who} got connection ${connection}, which ${other.who} has`;
    this.#occupants.set(connection, occupant);
    const held = [...this.#occupants.values()].filter(
      (each) => each.pool === pool && each.isLane === isLane && each.isHeld(),
    );
    const most = isLane ? 1 : (this.#ceilings.get(pool)?.allowed ?? Infinity);
    if (held.length <= most) return undefined;
    return `${held.length} of ${most} ${isLane ? 'lane connections' : 'connections'} of ${pool} are held: ${held.map((each) => each.who).join(', ')}`;
  }

  /** Whether an occupant still has his connection for himself; `found` is what it says of itself now. */
  check(occupant: Occupant, found: number): string | undefined {
    const { connection, who } = occupant;
    if (found !== connection) return `${who} had connection ${connection} and finds ${found}`;
    const present = this.#occupants.get(connection);
    return present === occupant
      ? undefined
      : `${who} has connection ${connection}, and so has ${present?.who ?? 'nobody'}`;
  }

  leave(occupant: Occupant): void {
    if (this.#occupants.get(occupant.connection) === occupant) this.#occupants.delete(occupant.connection);
    const ceiling = this.#ceilings.get(occupant.pool);
    // What was taken away before may not have been among those that were held when `max` shrank.
    const isOne = !occupant.isLane && occupant.isHeld();
    if (ceiling !== undefined && isOne && ceiling.allowed > ceiling.max) ceiling.allowed--;
  }
}

/** One who may write. */
export interface Writer {
  readonly who: string;
  /** Whether his transaction may still be open: not rolled back for a signal or with its lease. */
  isWriting(): boolean;
}

/** Who writes in this process: one at a time. */
export class Writers {
  readonly #writers = new Set<Writer>();

  enter(writer: Writer): string | undefined {
    const others = [...this.#writers].filter((each) => each.isWriting());
    this.#writers.add(writer);
    return others.length === 0
      ? undefined
      : `${writer.who} may write while ${others.map(({ who }) => who).join(', ')} may`;
  }

  /** Who may write now, beside one. */
  besides(who: string): string[] {
    return [...this.#writers].filter((each) => each.who !== who && each.isWriting()).map((each) => each.who);
  }

  leave(writer: Writer): void {
    this.#writers.delete(writer);
  }
}
