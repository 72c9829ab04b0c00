import type { Cancellations } from '../cancellations.ts';
import type { Clock } from '../clock.ts';
import type { WriteHolder } from '../holder.ts';
import { type TurnRequest, Turnstile } from '../turnstile.ts';

/** One who is in a lane, as the others see him. */
export interface LaneEntry {
  describe(): WriteHolder;
  /**
   * Leaves if it has nothing open any more: a transaction that was begun by SQL can end without anybody being told.
   */
  settle(): void;
  /** Whether it waits for a connection of this pool itself. Not in the first version of the protocol. */
  waits?(pool: string, poolId: number): boolean;
  /** Whether code in a transaction of `owner`, or in `scope`, runs inside what it is there for. */
  isAround(owner: object | undefined, scope: object | undefined): boolean;
}

/** One who waits for his turn. */
export type LaneWaiter = TurnRequest<LaneEntry>;

/** One who has a connection to the file. */
export interface LaneUser {
  /** Whether he has a transaction or an iterator open, and so a lock. */
  isInTransaction(): boolean;
}

/**
 * The write lane of one database file: lets one at a time of this process write to it, so that nobody ever waits inside
 * SQLite for a lock which this process holds itself.
 *
 * Pools of one file share it, also those of another copy of this package. So this is a protocol between versions: what
 * is here may be added to, not changed.
 */
export class WriteLane {
  /** Who has a connection to a file whose readers keep a writer out. Empty in WAL mode, where they do not. */
  readonly users = new Set<LaneUser>();
  /** When another process's lock was last in the way, and when the lane last rested for it. Times of a pool's clock. */
  metOthersAt = -Infinity;
  restedAt = -Infinity;
  /** Scopes in which somebody waits for his turn, each with how many. Not in the first version of the protocol. */
  readonly waitingScopes? = new Map<object, number>();
  /** Whose synchronous statement is writing at this moment. */
  writing: LaneUser | undefined;
  readonly #turnstile: Turnstile<LaneEntry>;

  constructor(clock: Clock) {
    this.#turnstile = new Turnstile(clock);
  }

  /** Who is in. */
  get holder(): LaneEntry | undefined {
    this.#turnstile.holder?.settle();
    return this.#turnstile.holder;
  }

  get waiting(): number {
    return this.#turnstile.waiting;
  }

  /** The first of those who wait, in the order of their turn. Not in the first version of the protocol. */
  first?(limit: number): LaneWaiter[] {
    return this.#turnstile.first(limit);
  }

  /** Lets `entry` in if nobody is; says whether it did. */
  tryEnter(entry: LaneEntry): boolean {
    return this.#turnstile.tryEnter(entry) || (this.holder === undefined && this.#turnstile.tryEnter(entry));
  }

  /** Lets it in when its turn comes. Rejects at its deadline, by its signal, and at the end of any of `ends`. */
  enter(request: LaneWaiter, ends: readonly Cancellations[]): Promise<void> {
    return this.#turnstile.enter(request, ends);
  }

  /** Lets the next one in. A no-op for who is not in. */
  leave(entry: LaneEntry): void {
    this.#turnstile.leave(entry);
  }
}

// Weak: a lane lives as long as a connection or a pool that goes through it.
type Registry = Map<string, WeakRef<WriteLane>>;

// Under this name every copy of the package in the process finds the same lanes.
const registryKey = Symbol.for('leasehold.lanes.v1');
const shared = globalThis as { [registryKey]?: Registry };
shared[registryKey] ??= new Map();
const lanes = shared[registryKey];

const collected = new FinalizationRegistry((key: string) => {
  if (lanes.get(key)?.deref() === undefined) lanes.delete(key);
});

/** The write lane of a file, by the `id` of its `identityOf`: so a link leads to the same. */
export function laneOf(identity: string, clock: Clock): WriteLane {
  const known = lanes.get(identity)?.deref();
  if (known !== undefined) return known;
  const lane = new WriteLane(clock);
  lanes.set(identity, new WeakRef(lane));
  collected.register(lane, identity);
  return lane;
}
