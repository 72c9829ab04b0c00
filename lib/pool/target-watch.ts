import type { Driver } from '../driver.ts';
import type { PoolEmitter } from '../events.ts';
import { formatCount, printable } from '../wording.ts';

// To look is a call of the operating system, some 5 µs: nothing for each second, half of a lease for each of those.
const interval = 1000;

/** Why a connection is to be retired, `undefined` if it is not. */
export type Judge<Connection> = (connection: Connection) => string | undefined;

/**
 * Finds out that the connections of a pool lead to something that was replaced: they would go on to "succeed" on what nobody
 * else sees.
 */
export class TargetWatch<Connection extends object> {
  readonly #pool: string;
  readonly #driver: Pick<Driver<Connection, object>, 'target' | 'outdated'>;
  readonly #events: PoolEmitter;
  readonly #retirements: ((judge: Judge<Connection>) => number)[] = [];
  /** From when on to look again: asked with each lease, so that `look` is not called for each. Time of the pool's clock. */
  lookAt: number;

  constructor(pool: string, driver: Pick<Driver<Connection, object>, 'target' | 'outdated'>, events: PoolEmitter) {
    this.#pool = pool;
    this.#driver = driver;
    this.#events = events;
    this.lookAt = driver.outdated === undefined ? Infinity : -Infinity;
  }

  /** Has `retire` called at each look. It retires those connections for which there is a reason, and says how many. */
  onLook(retire: (judge: Judge<Connection>) => number): void {
    this.#retirements.push(retire);
  }

  /** Retires every connection of the pool that is outdated: some may have been opened since. */
  look(now: number): void {
    this.lookAt = now + interval;
    let reason: string | undefined;
    const judge: Judge<Connection> = (connection) => {
      const found = this.#driver.outdated?.(connection);
      reason ??= found;
      return found;
    };
    let retired = 0;
    for (const retire of this.#retirements) retired += retire(judge);
    if (reason === undefined || !this.#events.has('replace')) return;
    const { target } = this.#driver;
    const message =
      `${formatCount(retired, 'connection')} of "${printable(this.#pool)}" to "${printable(target)}" retired: ${reason}. ` +
      'What is written on those that are in use is lost with the former.';
    this.#events.emit('replace', { target, reason, retired, message });
  }
}
