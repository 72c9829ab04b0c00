import type { LeaseControl, TransactionHistory } from '../../lib/driver.ts';
import type { LeaseMode } from '../../lib/holder.ts';
import type { TransactionRequest } from '../../lib/level.ts';
import type { TransactionVerbs } from '../../lib/transaction.ts';
import { type Gate, settled } from './gate.ts';

class EndedLeaseError extends Error {
  readonly code = 'LEASE_ENDED';
}

/** A lease that only knows whether it is held. */
export class FakeLease implements LeaseControl {
  readonly pool = 'fake';
  readonly poolId = 1;
  transactions: TransactionHistory = 'none';
  readonly isBound = false;
  readonly label = 'lease';
  ended = false;
  mode: LeaseMode = 'connection';
  lastSql: string | undefined;
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  lastUsedAt = 0;
  readonly scope = undefined;
  readonly reports: unknown[] = [];
  readonly discards: string[] = [];

  endedError(): Error {
    return new EndedLeaseError();
  }

  release(): void {}

  discard(reason: string): void {
    this.discards.push(reason);
  }

  describe(): never {
    throw new Error('Nobody asks');
  }

  report(error: unknown): void {
    this.reports.push(error);
  }

  abort(): void {
    this.#controller.abort();
  }
}

/**
 * A database whose verbs take time: each is on its way until its answer comes. The database does them in the order in
 * which they were sent, and an error of one leaves things as they were.
 */
export class FakeDatabase implements TransactionVerbs<TransactionRequest> {
  readonly log: string[] = [];
  /** What is open: `BEGIN`, and the savepoints. */
  readonly open: string[] = [];
  /** What may never happen. */
  readonly faults: string[] = [];
  /** Verbs that fail. */
  readonly fails = new Map<string, Error>();
  /** Answers that are held back, by verb. */
  readonly held = new Map<string, Gate>();
  /** Whether the answers that are there arrive in one turn of the event loop. */
  answersAtOnce = false;
  #answered: Promise<void> = Promise.resolve();
  ended = 0;

  begin(_: TransactionRequest, opened: () => void): Promise<void> {
    return this.#send('BEGIN', () => {
      if (this.open.length > 0) this.faults.push('BEGIN within a transaction');
      this.open.push('BEGIN');
      opened();
    });
  }

  commit(): Promise<void> {
    return this.#send('COMMIT', () => {
      if (this.open.length !== 1) this.faults.push(`COMMIT with ${this.open.join()} open`);
      this.open.length = 0;
    });
  }

  rollback(): Promise<void> {
    return this.#send('ROLLBACK', () => {
      this.open.length = 0;
    });
  }

  savepoint(depth: number, opened: () => void): Promise<void> {
    return this.#send(`SAVEPOINT ${depth}`, () => {
      if (this.open.length !== depth) this.faults.push(`SAVEPOINT ${depth} within ${this.open.join()}`);
      this.open.push(`${depth}`);
      opened();
    });
  }

  release(depth: number): Promise<void> {
    return this.#send(`RELEASE ${depth}`, () => {
      if (this.open.length !== depth + 1) this.faults.push(`RELEASE ${depth} within ${this.open.join()}`);
      this.open.length = Math.min(this.open.length, depth);
    });
  }

  rollbackTo(depth: number): Promise<void> {
    return this.#send(`ROLLBACK TO ${depth}`, () => {
      if (!this.open.includes(`${depth}`)) this.faults.push(`ROLLBACK TO ${depth} within ${this.open.join()}`);
      this.open.length = Math.min(this.open.length, depth);
    });
  }

  end(): void {
    this.ended++;
  }

  isOpen(): boolean {
    return this.open.length > 0;
  }

  checkFree(): void {}

  unfinished(): string | undefined {
    return undefined;
  }

  async #send(verb: string, act: () => void): Promise<void> {
    this.log.push(verb);
    const held = this.held.get(verb)?.passed;
    const answered = this.#answered.then(() => held ?? (this.answersAtOnce ? undefined : settled()));
    this.#answered = answered;
    await answered;
    const error = this.fails.get(verb);
    if (error !== undefined) throw error;
    act();
  }
}
