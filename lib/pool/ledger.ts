import type { PoolEmitter } from '../events.ts';
import type { ScopeRef } from '../holder.ts';
import { guarded, type LeaseObserver, Observers } from '../observer.ts';
import { DurationRecorder, LabelAccounts, newCounters, type PoolCounters, type Times } from '../stats.ts';
import { nameOf, printable } from '../wording.ts';
import type { SlotLease } from './slot.ts';

/** How a wait ended without what was waited for, as `counters` has it. */
export type Refusal = 'timeouts' | 'refused' | 'aborted';

/** What is counted, timed and told of the leases of a pool and of those who wait for one. */
export class Ledger {
  readonly counters: PoolCounters = newCounters();
  readonly times: Times = { wait: new DurationRecorder(), hold: new DurationRecorder(), open: new DurationRecorder() };
  readonly labels = new LabelAccounts();
  /** Told of each lease, `undefined` where nobody is. */
  observer: LeaseObserver | undefined;
  /** Each with what stands between it and the pool. */
  readonly #observers = new Map<LeaseObserver, LeaseObserver>();
  readonly #pool: string;
  readonly #events: PoolEmitter;

  constructor(pool: string, events: PoolEmitter) {
    this.#pool = pool;
    this.#events = events;
  }

  /**
   * Has `observer` told of every lease from now on. The function that is returned ends that, and so does an error: it may be of
   * another version of this package, and a lease must not be lost by it.
   */
  observe(observer: LeaseObserver): () => void {
    const change = (): void => {
      const [first, ...others] = this.#observers.values();
      this.observer = first === undefined || others.length === 0 ? first : new Observers([first, ...others]);
    };
    const stop = (): void => {
      if (this.#observers.delete(observer)) change();
    };
    const failed = (error: unknown): void => {
      stop();
      this.#events.error(error, 'An observer failed');
    };
    this.#observers.set(observer, guarded(observer, failed));
    change();
    return stop;
  }

  /** Whether anybody wants to know of this lease alone. Counters and times of the pool are kept where leases are made. */
  concerns(lease: SlotLease<object, object>, event: 'acquire' | 'release'): boolean {
    if (lease.label !== undefined || this.observer !== undefined) return true;
    return lease.scope?.isNamedLater === true || this.#events.hasListener(event);
  }

  /** A lease has begun that concerns somebody. */
  began(lease: SlotLease<object, object>, waited: number): void {
    const { id, slot, label } = lease;
    this.observer?.began(lease, waited);
    if (label !== undefined) this.labels.of(label).began(waited);
    if (this.#events.hasListener('acquire')) {
      this.#events.emit('acquire', { lease: id, connection: slot.id, label, waited });
    }
  }

  /** A lease has ended that concerns somebody. */
  ended(lease: SlotLease<object, object>, held: number): void {
    const { id, slot, isBound } = lease;
    const label = isBound ? lease.presentLabel : lease.label;
    if (label !== lease.label) this.labels.move(lease.label, label);
    if (label !== undefined) this.labels.of(label).ended(held);
    this.observer?.ended(lease, label, held);
    if (this.#events.hasListener('release')) {
      this.#events.emit('release', { lease: id, connection: slot.id, label, held });
    }
  }

  /** Whether anybody wants to know that somebody has to queue. */
  get tellsWaits(): boolean {
    return this.observer !== undefined || this.#events.hasListener('wait');
  }

  /** Somebody has to queue. */
  waits(what: 'connection' | 'write lane', label: string | undefined, waiting: number): void {
    this.observer?.waits(what, waiting);
    if (this.#events.has('wait')) this.#events.emit('wait', { for: what, label, waiting });
  }

  /** Somebody has waited in vain, or was refused at once. */
  refused(kind: Refusal, label: string | undefined, waited: number, error: unknown): void {
    this.counters[kind]++;
    if (kind !== 'timeouts') return;
    if (label !== undefined) this.labels.of(label).timeouts++;
    if (this.#events.has('timeout')) this.#events.emit('timeout', { label, waited, error: error as Error });
  }

  /** A holder, or a scope that holds nothing, has left something behind. */
  dirty(scope: ScopeRef | undefined, lease: SlotLease<object, object> | undefined, traces: readonly string[]): void {
    this.counters.dirty++;
    if (!this.#events.has('dirty')) return;
    const label = lease?.presentLabel ?? scope?.label;
    const who =
      scope === undefined
        ? nameOf(`Lease #${lease?.id}`, label, this.#pool)
        : nameOf(`Scope #${scope.id}`, label, this.#pool);
    this.#events.emit('dirty', {
      lease: lease?.id,
      connection: lease?.slot.id,
      label,
      scope: scope?.id,
      traces,
      message: `${who} left behind: ${printable(traces.join(', '))}. Await all work before the end, and finish what it began.`,
    });
  }
}
