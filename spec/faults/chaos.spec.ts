import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import type { RawDatabase } from '../../lib/sqlite/better-sqlite3.ts';
import { FakeClock } from '../support/clock.ts';
import { faultyClass, faultyPool } from '../support/faults.ts';
import { temporaryFile } from '../support/files.ts';
import { rawDatabase } from '../support/sqlite.ts';
import { accounts, Bank, balance, type Fault, kinds, type Mischief, Plan, pass, type Work } from './bank.ts';

type Made = readonly [works: readonly Work[], plan: readonly Fault[], mischiefs: readonly Mischief[]];

/** The hooks of a pool that do what is planned while `isOn`. */
class Hooks {
  isOn = false;
  readonly #plan: Plan;
  readonly #mischiefs: readonly Mischief[];
  readonly #clock: FakeClock;
  readonly #late: (() => void)[] = [];

  constructor(plan: Plan, mischiefs: readonly Mischief[], clock: FakeClock) {
    this.#plan = plan;
    this.#mischiefs = mischiefs;
    this.#clock = clock;
  }

  run(name: Mischief['hook']): false | Promise<void> | undefined {
    const isDue = (mischief: Mischief) => mischief.hook === name && this.#plan.isDue(mischief);
    const found = this.isOn ? this.#mischiefs.find(isDue) : undefined;
    if (found === undefined) return undefined;
    const { what } = found;
    if (what === 'throw') throw this.#plan.error('HOOK');
    if (what === 'reject') return Promise.reject(this.#plan.error('HOOK'));
    if (what === 'false') return false;
    return new Promise((resolve, reject) => {
      const end = (): void => (what === 'late reject' ? reject(this.#plan.error('HOOK')) : resolve());
      if (what !== 'hang') this.#clock.after(700, end);
      this.#late.push(end);
    });
  }

  /** Those that hang come to their end, long after anybody waits for them. */
  endAll(): void {
    for (const end of this.#late) end();
  }
}

/** Lets all work at the same time until all of it has settled. */
async function play(bank: Bank, works: readonly Work[], planned: Plan, clock: FakeClock): Promise<void> {
  const running = new Set(works);
  const outcomes = works.map((each) =>
    kinds[each.kind](bank, each)
      .then(
        () => undefined,
        (error: unknown) => error,
      )
      .finally(() => running.delete(each)),
  );
  for (let waited = 0; running.size > 0 && waited < 30_000; waited += 50) {
    await pass(3);
    await clock.pass(50);
  }
  assert.equal(running.size, 0, 'every call has settled');
  for (const outcome of await Promise.all(outcomes)) {
    if (outcome !== undefined) assert.ok(planned.expects(outcome), `an error of the plan: ${inspect(outcome)}`);
  }
}

function verify(raw: RawDatabase, { committed }: Bank, planned: Plan): void {
  assert.equal(raw.prepare('SELECT sum(balance) FROM account').pluck().get(), accounts * balance);
  const kept = new Set(raw.prepare('SELECT name FROM transfer').pluck().all() as string[]);
  for (const name of committed) assert.ok(kept.has(name), 'what was told to be committed is');
  assert.ok(kept.size <= committed.size + planned.unsaid, 'and nothing else');
}

async function check(
  t: ExecutionContext,
  raw: RawDatabase,
  clock: FakeClock,
  [works, plan, mischiefs]: Made,
): Promise<void> {
  raw.exec(`UPDATE account SET balance = ${balance}; DELETE FROM transfer`);
  const faults = faultyClass(t);
  const planned = new Plan();
  const hooks = new Hooks(planned, mischiefs, clock);
  const { pool, errors } = await faultyPool(
    t,
    {
      max: 3,
      busyTimeout: 0,
      acquireTimeout: 500,
      onOpen: () => hooks.run('onOpen'),
      onAcquire: () => hooks.run('onAcquire'),
      onRelease: () => hooks.run('onRelease'),
    },
    { file: raw.name, clock, faults },
  );
  try {
    const bank = new Bank(pool);
    hooks.isOn = true;
    planned.arm(faults, plan);
    await play(bank, works, planned, clock);
    hooks.isOn = false;
    faults.mend();
    // What hangs is given up, and what comes late is nobody's.
    await clock.pass(2000);
    hooks.endAll();
    await clock.pass(2000);
    pool.assertIdle();
    const { leased, waiting, laneHeld, laneWaiting, size } = pool.stats();
    const none = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };
    assert.deepEqual({ leased, waiting, laneHeld, laneWaiting }, none);
    const unclosed = faults.unclosed();
    assert.equal(faults.open(), size + unclosed, 'what is open is what the pool has, and what it could not close');
    const reported = errors.filter(({ message }) => message.startsWith('CLOSE'));
    assert.equal(reported.length, unclosed, 'which it has reported');
    faults.closeOrphans();
    verify(raw, bank, planned);
    const all = await Promise.all([1, 2, 3].map(() => pool.acquire()));
    for (const db of all) db.close();
    await pool.transaction((tx) => void tx.prepare('INSERT INTO note VALUES (2)').run());
    await pool.close();
    assert.equal(faults.open(), 0);
    assert.equal(clock.pending, 0, 'no timer is left');
  } finally {
    // Whatever becomes of it: a failure must leave nothing to the next run.
    faults.closeOrphans();
    await pool.close({ timeout: 0 });
  }
}

const small = fc.integer({ min: 1, max: 4 });
const fault: fc.Arbitrary<Fault> = fc
  .oneof(
    fc.record<Fault>({
      start: fc.constantFrom(
        'open',
        'close',
        'run BEGIN',
        'run COMMIT',
        'run ROLLBACK',
        'exec ROLLBACK',
        'run SAVEPOINT',
        'prepare BEGIN',
        'prepare COMMIT',
        'prepare ROLLBACK',
        'prepare UPDATE',
        'exec PRAGMA',
        'pragma wal_checkpoint',
      ),
      from: small,
      times: small,
      code: fc.constantFrom('CLOSE', 'SQLITE_IOERR', 'SQLITE_BUSY'),
      when: fc.constant('before'),
    }),
    fc.record<Fault>({
      start: fc.constantFrom('run ROLLBACK TO', 'run RELEASE', 'run UPDATE', 'run INSERT', 'get SELECT sum'),
      from: small,
      times: small,
      code: fc.constantFrom('SQLITE_IOERR', 'SQLITE_CORRUPT'),
      when: fc.constantFrom<Fault['when']>('before', 'after'),
    }),
    fc.record<Fault>({
      start: fc.constantFrom('run COMMIT', 'run UPDATE', 'run INSERT', 'run RELEASE', 'run SAVEPOINT'),
      from: small,
      times: small,
      code: fc.constantFrom('SQLITE_FULL', 'SQLITE_IOERR_WRITE'),
      when: fc.constantFrom<Fault['when']>('abort', 'after'),
    }),
  )
  .map((made) =>
    made.start === 'close'
      ? { ...made, code: 'CLOSE' }
      : made.code === 'CLOSE'
        ? { ...made, code: 'SQLITE_IOERR' }
        : made,
  );
const mischief: fc.Arbitrary<Mischief> = fc.record({
  hook: fc.constantFrom<Mischief['hook']>('onOpen', 'onAcquire', 'onRelease'),
  from: small,
  times: small,
  what: fc.constantFrom<Mischief['what']>('throw', 'reject', 'hang', 'late', 'late reject', 'false'),
});
const account = fc.integer({ min: 1, max: accounts });
const work: fc.Arbitrary<Work> = fc.record({
  kind: fc.constantFrom(...(Object.keys(kinds) as Work['kind'][])),
  from: account,
  to: account,
  turns: fc.nat({ max: 3 }),
  timeout: fc.constantFrom(50, 500, 5000),
  nests: fc.boolean(),
  throws: fc.boolean(),
});

const runs = Number(process.env['MODEL_RUNS'] ?? 60);

test('whatever fails while money is moved, none of it is lost, every call settles, and the pool has all of its slots', async (t) => {
  const raw = rawDatabase(t, temporaryFile(t));
  raw.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER);
    CREATE TABLE transfer (name TEXT);
    CREATE TABLE note (x);
    WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ${accounts})
    INSERT INTO account SELECT id, ${balance} FROM n`);
  // One for all: a write lane keeps the clock of the first pool of its file.
  const clock = new FakeClock();
  const plan = fc.tuple(
    fc.array(work, { minLength: 1, maxLength: 12 }),
    fc.array(fault, { maxLength: 5 }),
    fc.array(mischief, { maxLength: 2 }),
  );
  const property = fc.asyncProperty(plan, (made) => check(t, raw, clock, made));
  await fc.assert(property, { numRuns: runs, includeErrorInReport: true });
  t.is(raw.pragma('integrity_check', { simple: true }), 'ok');
});
