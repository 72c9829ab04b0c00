import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import type { LeasedDatabase, SqlitePool, TransactionMode } from '../../lib/index.ts';
import type { RawDatabase } from '../../lib/sqlite/better-sqlite3.ts';
import { settled } from '../support/gate.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

/** What befalls a transaction in the turn of the loop of this number, counted from its start, if anything does. */
interface Fate {
  readonly what: 'nothing' | 'abort' | 'close' | 'discard' | 'throw' | 'forget';
  readonly turn: number;
}

interface Plan {
  readonly where: 'unbound' | 'in an unbound scope' | 'bound' | 'write scope' | 'handle';
  readonly mode: TransactionMode;
  readonly timeout: number;
  readonly retries: number;
  readonly priority: number;
  /** Turns of the loop between its statements. */
  readonly turns: number;
  readonly nests: boolean;
  readonly fate: Fate;
}

/** Locks of another process, and its commits, for so many turns each. */
interface Outsider {
  readonly pause: number;
  readonly hold: number;
}

class Thrown extends Error {}

/** Codes with which a transaction may be refused or end here. */
const codes = new Set([
  'ABORT_ERR',
  'ERR_LEASEHOLD_RELEASED',
  'ERR_LEASEHOLD_SCOPE_ENDED',
  'ERR_LEASEHOLD_WRITE_TIMEOUT',
  'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
  'SQLITE_BUSY',
  'SQLITE_BUSY_SNAPSHOT',
]);

async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await settled();
}

class Chaos {
  readonly pool: SqlitePool;
  /** Transactions of which all rows must be there. */
  readonly committed: string[] = [];
  /** All that has to be over before the table is looked at. */
  readonly work: Promise<unknown>[] = [];

  constructor(pool: SqlitePool) {
    this.pool = pool;
  }

  async run(name: string, plan: Plan): Promise<void> {
    const { pool } = this;
    const { mode, timeout, retries, priority, fate } = plan;
    const controller = new AbortController();
    const options = { label: name, signal: controller.signal, timeout };
    const body = (tx: LeasedDatabase) => this.#body(name, plan, tx);
    if (fate.what === 'abort') this.work.push(pass(fate.turn).then(() => controller.abort()));
    const transaction = () => pool.transaction(body, { mode, timeout, retries, priority });
    /** A scope that does not wait for what it has begun. */
    const scoped = async () => {
      const running = this.#noted(name, transaction());
      if (fate.what === 'forget') await pass(fate.turn);
      else await running;
    };
    switch (plan.where) {
      case 'unbound':
        return this.#noted(name, pool.transaction(body, { mode, retries, priority, ...options }));
      case 'in an unbound scope':
        return pool.withScope(scoped, { label: name, signal: controller.signal });
      case 'bound':
        return pool.withConnection(scoped, options);
      case 'write scope':
        return pool.withConnection(scoped, { ...options, write: true });
      case 'handle': {
        await using db = await pool.acquire(options);
        const running = this.#noted(name, db.transaction(async () => body(db))[mode]());
        if (fate.what === 'forget') await pass(fate.turn);
        else await running;
      }
    }
  }

  async #body(name: string, { turns, nests, fate }: Plan, tx: LeasedDatabase): Promise<void> {
    const insert = (part: string) => tx.prepare('INSERT INTO part VALUES (?, ?)').run(name, part);
    tx.prepare('SELECT count(*) FROM part').get();
    await pass(turns);
    insert('first');
    await pass(turns);
    if (nests) {
      await Promise.all([
        this.pool.current === tx ? this.pool.transaction(() => insert('nested')) : insert('nested'),
        tx
          .transaction(async () => {
            insert('undone');
            await pass(turns);
            throw new Thrown();
          })()
          .catch((error: unknown) => {
            if (!(error instanceof Thrown)) throw error;
          }),
      ]);
    } else insert('nested');
    await pass(fate.what === 'nothing' ? 0 : fate.turn);
    if (fate.what === 'close') tx.close();
    if (fate.what === 'discard') tx.discard();
    if (fate.what === 'throw') throw new Thrown();
    insert('last');
  }

  #noted(name: string, running: Promise<void>): Promise<void> {
    const noted = running.then(() => void this.committed.push(name), expected);
    this.work.push(noted);
    return noted;
  }
}

/** Whether a transaction may end with this. */
function expected(error: unknown): void {
  if (error instanceof Thrown) return;
  const { code } = error as { readonly code?: string };
  if (code === undefined || !codes.has(code)) throw error;
}

async function interfere(other: RawDatabase, outsiders: readonly Outsider[]): Promise<void> {
  for (const { pause, hold } of outsiders) {
    await pass(pause);
    try {
      other.exec("BEGIN IMMEDIATE; INSERT INTO outside VALUES ('x')");
    } catch {
      // Somebody in the pool writes.
      continue;
    }
    await pass(hold);
    other.exec('COMMIT');
  }
}

async function check(
  pool: SqlitePool,
  other: RawDatabase,
  plans: readonly Plan[],
  outsiders: readonly Outsider[],
): Promise<void> {
  other.exec('DELETE FROM part');
  const chaos = new Chaos(pool);
  const interfering = interfere(other, outsiders);
  const runs = plans.map((plan, index) => chaos.run(`${index}`, plan).catch(expected));
  // Whatever becomes of the first: a failure must leave nothing to the next run.
  await Promise.allSettled(runs);
  await Promise.all([...runs, interfering]);
  for (let done = 0; done < chaos.work.length; done++) await chaos.work[done];
  const complete = chaos.committed.flatMap((name) => [`${name} first`, `${name} last`, `${name} nested`]);
  const rows = other.prepare("SELECT name || ' ' || part FROM part").pluck().all() as string[];
  assert.deepEqual(rows.toSorted(), complete.toSorted(), 'neither half a transaction, nor one too many or too few');
  const { laneHeld, laneWaiting, leased, waiting } = pool.stats();
  assert.deepEqual({ laneHeld, laneWaiting, leased, waiting }, { laneHeld: 0, laneWaiting: 0, leased: 0, waiting: 0 });
}

const turn = fc.nat({ max: 6 });
const plan: fc.Arbitrary<Plan> = fc.record({
  where: fc.constantFrom<Plan['where']>('unbound', 'in an unbound scope', 'bound', 'write scope', 'handle'),
  mode: fc.constantFrom<TransactionMode>('immediate', 'deferred', 'exclusive'),
  timeout: fc.constantFrom(1, 5, 5000, 5000, 5000),
  retries: fc.constantFrom(0, 0, 2),
  priority: fc.integer({ min: -1, max: 1 }),
  turns: fc.nat({ max: 3 }),
  nests: fc.boolean(),
  fate: fc.oneof(
    { weight: 2, arbitrary: fc.constant<Fate>({ what: 'nothing', turn: 0 }) },
    {
      weight: 3,
      arbitrary: fc.record<Fate>({
        what: fc.constantFrom<Fate['what']>('abort', 'close', 'discard', 'throw', 'forget'),
        turn,
      }),
    },
  ),
});
const outsider: fc.Arbitrary<Outsider> = fc.record({ pause: turn, hold: turn });

const runs = Number(process.env['MODEL_RUNS'] ?? 120);

test('whatever becomes of a transaction, all of it is kept or nothing, and nothing is left open', async (t) => {
  const pool = temporaryPool(t, { max: 3, busyTimeout: 0 });
  await pool.withConnection((db) => db.exec('CREATE TABLE part (name TEXT, part TEXT); CREATE TABLE outside (x)'));
  const other = rawDatabase(t, pool.db.name, { timeout: 0 });
  const errors: unknown[] = [];
  pool.on('error', (error) => void errors.push(error));
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan, { minLength: 1, maxLength: 8 }),
      fc.array(outsider, { maxLength: 3 }),
      async (plans, outsiders) => {
        await check(pool, other, plans, outsiders);
        assert.deepEqual(errors, []);
      },
    ),
    { numRuns: runs, includeErrorInReport: true },
  );
  t.deepEqual(await pool.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
});
