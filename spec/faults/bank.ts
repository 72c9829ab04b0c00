import assert from 'node:assert/strict';
import Database from 'better-sqlite3';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { type Decide, type Faults, sqliteError } from '../support/faults.ts';
import { settled } from '../support/gate.ts';

/** Something that goes wrong: the calls from number `from` on that begin with `start`, so many of them. */
export interface Fault {
  readonly start: string;
  readonly from: number;
  readonly times: number;
  readonly code: string;
  /** Before it is done, after, or instead of it with the whole transaction undone, as SQLite does where the disk is full. */
  readonly when: 'before' | 'after' | 'abort';
}

/** What a hook does at its call of that number. */
export interface Mischief {
  readonly hook: 'onOpen' | 'onAcquire' | 'onRelease';
  readonly from: number;
  readonly times: number;
  readonly what: 'throw' | 'reject' | 'hang' | 'late' | 'late reject' | 'false';
}

/** One of those that use the pool at the same time. */
export interface Work {
  readonly kind: keyof typeof kinds;
  readonly from: number;
  readonly to: number;
  /** Turns of the loop between its statements. */
  readonly turns: number;
  readonly timeout: number;
  readonly nests: boolean;
  readonly throws: boolean;
}

export const accounts = 5;
export const balance = 100;

class Thrown extends Error {}

/** What calls may be refused with beside the errors that were injected. */
const codes = new Set([
  'ERR_LEASEHOLD_OPEN',
  'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
  'ERR_LEASEHOLD_WRITE_TIMEOUT',
  'ERR_LEASEHOLD_TRANSACTION_ABORTED',
  // Of a lock that a connection keeps that could not be closed.
  'SQLITE_BUSY',
  'SQLITE_BUSY_SNAPSHOT',
]);

export async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await settled();
}

/** Accounts, between which money is moved. */
export class Bank {
  readonly pool: SqlitePool;
  /** Transfers that were told to be committed. */
  readonly committed = new Set<string>();
  #last = 0;

  constructor(pool: SqlitePool) {
    this.pool = pool;
  }

  /** Makes a transfer by a way to run a transaction. */
  async transfer(work: Work, run: (body: (tx: LeasedDatabase) => Promise<void>) => Promise<unknown>): Promise<void> {
    const name = `${++this.#last}`;
    await run((tx) => this.#move(name, work, tx));
    this.committed.add(name);
  }

  async #move(name: string, { from, to, turns, nests, throws }: Work, tx: LeasedDatabase): Promise<void> {
    const change = (account: number, by: number) =>
      tx.prepare('UPDATE account SET balance = balance + ? WHERE id = ?').run(by, account);
    change(from, -1);
    await pass(turns);
    try {
      // What fails in here does not concern it, unless SQLite has ended the transaction over it.
      tx.prepare('INSERT INTO note VALUES (3)').run();
    } catch {
      await pass(turns);
    }
    if (nests) {
      // Undone, whatever becomes of it: it takes money from nowhere.
      const undone = tx.transaction(async () => {
        change(to, 1000);
        await pass(turns);
        throw new Thrown();
      });
      await undone().catch((error: unknown) => {
        if (!(error instanceof Thrown)) throw error;
      });
      await tx.transaction(async () => change(to, 1))();
    } else change(to, 1);
    await pass(turns);
    tx.prepare('INSERT INTO transfer VALUES (?)').run(name);
    if (throws) throw new Thrown();
  }
}

const total = (db: LeasedDatabase) => db.prepare('SELECT sum(balance) FROM account').pluck().get();

/** What is done at the same time. */
export const kinds = {
  transaction: (bank, work) => bank.transfer(work, (body) => bank.pool.transaction(body, { timeout: work.timeout })),
  bound: (bank, work) =>
    bank.transfer(work, (body) =>
      bank.pool.withConnection(() => bank.pool.transaction(body, { timeout: work.timeout }), { timeout: work.timeout }),
    ),
  'write scope': (bank, work) =>
    bank.transfer(work, (body) =>
      bank.pool.withConnection(() => bank.pool.transaction(body), { write: true, timeout: work.timeout }),
    ),
  handle: (bank, work) =>
    bank.transfer(work, async (body) => {
      await using db = await bank.pool.acquire({ timeout: work.timeout });
      await db.transaction(async () => body(db))();
    }),
  retried: (bank, work) => bank.transfer(work, (body) => bank.pool.transaction(body, { retries: 2 })),
  read: (bank, { turns, timeout }) =>
    bank.pool.read(
      async (db) => {
        const before = total(db);
        await pass(turns);
        assert.equal(total(db), before, 'a snapshot stays as it is');
        assert.equal(before, accounts * balance, 'and has no transfer in part');
      },
      { timeout },
    ),
  run: (bank, { timeout }) => bank.pool.run('INSERT INTO note VALUES (1)', [], { timeout }),
  get: (bank, { timeout }) => bank.pool.get('SELECT count(*) FROM transfer', [], { timeout }),
  'left open': (bank, { timeout, turns }) =>
    bank.pool.withConnection(
      async (db) => {
        db.exec('BEGIN; SELECT * FROM account');
        await pass(turns);
      },
      { timeout },
    ),
  discard: (bank, { timeout, turns }) =>
    bank.pool.withConnection(
      async (db) => {
        db.discard();
        await pass(turns);
      },
      { timeout },
    ),
  closeIdle: async (bank) => bank.pool.closeIdle(),
  checkpoint: (bank, { timeout }) => bank.pool.checkpoint('passive', { timeout }),
} satisfies Record<string, (bank: Bank, work: Work) => Promise<unknown>>;

/** What is injected, by the faults of a plan. */
export class Plan {
  readonly injected = new Set<unknown>();
  /** Transactions that were committed though their COMMIT failed. */
  unsaid = 0;
  readonly #counts = new Map<object, number>();

  arm(faults: Faults, plan: readonly Fault[]): void {
    const decide =
      (...when: readonly Fault['when'][]): Decide =>
      (call, sql, db) => {
        for (const fault of plan) {
          if (!when.includes(fault.when) || !`${call} ${sql}`.startsWith(fault.start) || !this.isDue(fault)) continue;
          if (fault.when === 'abort' && db?.inTransaction === true) Database.prototype.exec.call(db, 'ROLLBACK');
          if (fault.when === 'after' && sql === 'COMMIT') this.unsaid++;
          return this.error(fault.code);
        }
        return undefined;
      };
    faults.decide = decide('before', 'abort');
    faults.decideAfter = decide('after');
  }

  isDue(what: { readonly from: number; readonly times: number }): boolean {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    return count >= what.from && count < what.from + what.times;
  }

  error(code: string): Error {
    const error = sqliteError(code);
    this.injected.add(error);
    return error;
  }

  /** Whether a call may end with this. */
  expects(error: unknown): boolean {
    if (error instanceof Thrown || this.injected.has(error)) return true;
    return codes.has((error as { code?: string }).code ?? '');
  }
}
