import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

/** What a branch does on the connection it shares with the others of its scope. */
interface Step {
  readonly what:
    | 'run'
    | 'returning'
    | 'transaction'
    | 'handle transaction'
    | 'read'
    | 'write scope'
    | 'synchronous'
    | 'statement'
    | 'separate';
  readonly turns: number;
  readonly timeout: number;
  /** The turn of the loop after which it is aborted, if it is. */
  readonly abort: number | undefined;
}

interface Scope {
  readonly branches: readonly (readonly Step[])[];
  readonly write: boolean;
}

/** How long others hold the lane, and how long they let go of it, in turns of the loop. */
interface Writer {
  readonly pause: number;
  readonly hold: number;
}

/** Codes with which a step may be refused here. */
const codes = new Set([
  'ABORT_ERR',
  'ERR_LEASEHOLD_WRITE_TIMEOUT',
  'ERR_LEASEHOLD_WRITE_LOCKED',
  'ERR_LEASEHOLD_TRANSACTION_BUSY',
  'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
]);

async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await settled();
}

const insert = (db: LeasedDatabase, name: string) => void db.prepare('INSERT INTO row VALUES (?)').run(name);

/** Does one step, which adds two rows of its name, or one, or refuses to. */
async function take(pool: SqlitePool, db: LeasedDatabase, step: Step, name: string): Promise<number> {
  const controller = new AbortController();
  const { what, turns, timeout, abort } = step;
  if (abort !== undefined) void pass(abort).then(() => controller.abort());
  const options = { signal: controller.signal, timeout };
  const both = async (tx: LeasedDatabase) => {
    insert(tx, name);
    await pass(turns);
    insert(tx, name);
  };
  switch (what) {
    case 'run':
      await pool.run('INSERT INTO row VALUES (?)', [name], options);
      return 1;
    case 'returning':
      await pool.get('WITH one (x) AS (VALUES (?)) INSERT INTO row SELECT x FROM one RETURNING name', [name], options);
      return 1;
    case 'transaction':
      await pool.transaction(both, options);
      return 2;
    case 'separate':
      await pool.transaction(both, { ...options, nesting: 'separate' });
      return 2;
    case 'handle transaction':
      await db.transaction(async () => both(db))();
      return 2;
    case 'read':
      await pool.read(async (snapshot) => {
        const count = snapshot.prepare('SELECT count(*) FROM row').pluck();
        const before = count.get();
        await pass(turns);
        assert.equal(count.get(), before, 'a snapshot has changed');
      }, options);
      return 0;
    case 'write scope': {
      const count = { rows: 0 };
      // Its statements commit by themselves, unless they are refused: another branch may have a transaction open.
      await pool.withConnection(
        async (writer) => {
          for (let times = 0; times < 2; times++) {
            await pass(turns);
            try {
              insert(writer, name);
              count.rows++;
            } catch (error) {
              expected(error);
              assert.notEqual((error as { code?: string }).code, 'ERR_LEASEHOLD_WRITE_LOCKED', 'it holds the lane');
            }
          }
        },
        { ...options, write: true },
      );
      return count.rows;
    }
    case 'synchronous':
      db.transaction(() => {
        insert(db, name);
        insert(db, name);
      })();
      return 2;
    case 'statement':
      break;
  }
  insert(db, name);
  return 1;
}

function expected(error: unknown): void {
  const { code } = error as { readonly code?: string };
  if (code === undefined || !codes.has(code)) throw error;
}

/** Waits for all of them, whatever becomes of the first: a failure must leave nothing to the next run. */
async function all(running: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(running);
  await Promise.all(running);
}

async function check(pool: SqlitePool, scopes: readonly Scope[], writers: readonly Writer[]): Promise<void> {
  await pool.run('DELETE FROM row');
  const rows: string[] = [];
  const branch = async (db: LeasedDatabase, steps: readonly Step[], name: string) => {
    for (const [index, step] of steps.entries()) {
      const id = `${name}.${index} ${step.what}`;
      try {
        const count = await take(pool, db, step, id);
        for (let row = 0; row < count; row++) rows.push(id);
      } catch (error) {
        expected(error);
      }
    }
  };
  const running = scopes.map(({ branches, write }, scope) =>
    pool.withConnection(
      async (db) => {
        await all(branches.map((steps, index) => branch(db, steps, `${scope}.${index}`)));
        assert.equal(db.inTransaction, false);
      },
      { write },
    ),
  );
  const others = async () => {
    for (const { pause, hold } of writers) {
      await pass(pause);
      await using _ = await pool.acquire({ write: true });
      await pass(hold);
    }
  };
  await all([...running, others()]);
  const found = await pool.all<{ readonly name: string }>('SELECT name FROM row');
  assert.deepEqual(found.map(({ name }) => name).toSorted(), rows.toSorted());
  const { laneHeld, laneWaiting, leased, waiting } = pool.stats();
  assert.deepEqual({ laneHeld, laneWaiting, leased, waiting }, { laneHeld: 0, laneWaiting: 0, leased: 0, waiting: 0 });
}

const turns = fc.nat({ max: 4 });
const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom<Step['what']>(
    'run',
    'returning',
    'transaction',
    'handle transaction',
    'read',
    'write scope',
    'synchronous',
    'statement',
    'separate',
  ),
  turns,
  timeout: fc.constantFrom(1, 5000, 5000, 5000),
  abort: fc.constantFrom(undefined, undefined, undefined, undefined, 0, 1, 2, 4),
});
const scope: fc.Arbitrary<Scope> = fc.record({
  branches: fc.array(fc.array(step, { maxLength: 4, size: 'max' }), { minLength: 1, maxLength: 4, size: 'max' }),
  write: fc.constantFrom(false, false, true),
});

const runs = Number(process.env['MODEL_RUNS'] ?? 150);

test('whatever the branches of a scope do side by side, each step is done whole or not at all', async (t) => {
  const pool = temporaryPool(t, { busyTimeout: 0 });
  const reports: unknown[] = [];
  pool.on('error', (error) => void reports.push(error));
  pool.on('dirty', (event) => void reports.push(event));
  await pool.run('CREATE TABLE row (name TEXT)');
  await fc.assert(
    fc.asyncProperty(
      fc.array(scope, { minLength: 1, maxLength: 3 }),
      fc.array(fc.record<Writer>({ pause: turns, hold: turns }), { maxLength: 3 }),
      async (scopes, writers) => {
        await check(pool, scopes, writers);
        assert.deepEqual(reports, []);
      },
    ),
    { numRuns: runs, includeErrorInReport: true },
  );
  t.deepEqual(await pool.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
});
