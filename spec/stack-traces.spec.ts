import { execFile } from 'node:child_process';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { temporaryFile } from './support/files.ts';

// How stacks are made is up to the application, and to libraries it has for that. A pool that captures them must work with
// whatever comes of it, in a process of its own because this can not be undone.

const urlOf = (path: string) => JSON.stringify(new URL(`${path}${extname(import.meta.url)}`, import.meta.url).href);

const program = (setUp: string) => `
  import { tracingChannel } from 'node:diagnostics_channel';
  import { FakeClock } from ${urlOf('support/clock')};
  import { SqlitePool } from ${urlOf('../lib/sqlite/pool')};

  ${setUp}

  const told = [];
  const textOf = (value) => {
    if (typeof value !== 'string') throw new TypeError('no text');
    if (/undefined|null|\\[object/.test(value)) throw new Error('unreadable: ' + value);
    return value;
  };
  /** What does not depend on stacks. */
  const holderOf = ({ id, label, age, idleFor, inTransaction, mode, scope, stack }) => {
    if (stack !== undefined) textOf(stack);
    return { id, label, age, idleFor, inTransaction, mode, scope };
  };
  const noteError = (what, error) => {
    textOf(error.message);
    const { name, code, position, suspectedDeadlock, holders, holder, acquireStack, releaseStack } = error;
    for (const stack of [acquireStack, releaseStack, holder?.stack]) if (stack !== undefined) textOf(stack);
    told.push({ what, name, code, position, suspectedDeadlock, holders: holders?.map(holderOf), holder: holder?.kind });
  };
  const noteFailure = async (what, work) => {
    try {
      await work();
      told.push({ what, done: true });
    } catch (error) {
      noteError(what, error);
    }
  };

  const clock = new FakeClock();
  const make = (options) => {
    const pool = new SqlitePool(process.argv[1], { name: 'app', leakThreshold: 1000, ...options }, clock);
    for (const event of ['leak', 'deadlock', 'dirty', 'timeout', 'error']) {
      pool.on(event, ({ kind, label, holder, traces, message, error }) => {
        textOf(message ?? error?.message ?? '-');
        told.push({ event, kind, label, holder: holder && holderOf(holder), traces, code: error?.code });
      });
    }
    return pool;
  };
  const pool = make({ max: 1 });
  await pool.run('CREATE TABLE item (name TEXT)');

  const held = await pool.acquire({ label: 'held' });
  const late = noteFailure('acquire timeout', () => pool.acquire({ timeout: 10, label: 'late' }));
  await clock.pass(10);
  await late;
  await noteFailure('assertIdle', () => pool.assertIdle());
  await clock.pass(2500);
  held.close();
  await noteFailure('use after release', () => held.prepare('SELECT 1'));
  await noteFailure('use after its lease was taken away', async () => {
    const db = await pool.acquire({ label: 'taken' });
    pool.closeOverdue(0);
    db.prepare('SELECT 1');
  });
  const writer = await pool.acquire({ write: true, label: 'writer' });
  const lateWriter = noteFailure('write timeout', () => pool.run('DELETE FROM item', [], { timeout: 10 }));
  await clock.pass(10);
  await lateWriter;
  await noteFailure('a write beside it', () => pool.withConnection((db) => db.exec('DELETE FROM item')));
  writer.close();
  let left;
  await pool.withScope(async () => {
    await pool.connection();
    left = noteFailure('left over', () => new Promise(setImmediate).then(() => pool.db.prepare('SELECT 1').get()));
  }, { label: 'scope' });
  await left;

  const strict = make({ max: 1, onDeadlock: 'reject' });
  await noteFailure('deadlock', () =>
    strict.withConnection(() => strict.withConnection(() => {}, { fresh: true, label: 'inner' }), { label: 'outer' }));

  const steps = [];
  const note = (step) => ({ pool, label, mode, attempts, error }) =>
    steps.push({ step, pool, label, mode, attempts, error: error?.message });
  const names = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];
  tracingChannel('leasehold:transaction').subscribe(Object.fromEntries(names.map((name) => [name, note(name)])));
  tracingChannel('leasehold:acquire').subscribe(Object.fromEntries(names.map((name) => [name, note(name)])));
  await noteFailure('traced transaction', () =>
    pool.transaction((tx) => void tx.exec("INSERT INTO item VALUES ('kept')"), { label: 'traced' }));
  await noteFailure('failing traced transaction', () =>
    pool.transaction((tx) => {
      tx.exec("INSERT INTO item VALUES ('lost')");
      throw new RangeError('enough');
    }));
  await noteFailure('traced transaction function', () =>
    pool.withConnection((db) => db.transaction(async () => void db.exec("INSERT INTO item VALUES ('more')"))()));
  told.push({ steps });

  told.push({ items: await pool.all('SELECT name FROM item ORDER BY rowid') });
  pool.assertIdle();
  strict.assertIdle();
  const { leased, waiting, laneHeld, laneWaiting, counters } = pool.stats();
  told.push({ leased, waiting, laneHeld, laneWaiting, counters, unreleased: counters.acquired - counters.released });
  await pool.close();
  await strict.close();
  process.stdout.write(JSON.stringify(told));`;

async function outcomeOf(t: ExecutionContext, setUp: string): Promise<unknown[]> {
  const args = ['--input-type=module', '-e', program(setUp), temporaryFile(t)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  t.is(stderr, '');
  return JSON.parse(stdout) as unknown[];
}

/** What an application may do about stacks. */
const settings: Record<string, string> = {
  'a formatter that returns the frames': 'Error.prepareStackTrace = (_, frames) => frames;',
  'a formatter that returns an object': 'Error.prepareStackTrace = (error, frames) => ({ error, frames });',
  'a formatter that returns null': 'Error.prepareStackTrace = () => null;',
  'a formatter that returns nothing': 'Error.prepareStackTrace = () => {};',
  'a formatter that returns an empty text': "Error.prepareStackTrace = () => '';",
  'a formatter that throws': "Error.prepareStackTrace = () => { throw new Error('no stacks here'); };",
  'a formatter that throws nothing to speak of': 'Error.prepareStackTrace = () => { throw undefined; };',
  'a limit of no frames': 'Error.stackTraceLimit = 0;',
  'a limit that is undefined': 'Error.stackTraceLimit = undefined;',
  'a limit that is not there': 'delete Error.stackTraceLimit;',
};

/** What the program comes to where nobody has done anything about stacks. */
let untouched: unknown[] | undefined;

test.serial('without any setting, the program comes to all that it is for', async (t) => {
  untouched = await outcomeOf(t, '');
  const told = untouched as Record<string, unknown>[];
  const codes = told.flatMap(({ code, what }) => (what === undefined || code === undefined ? [] : [code]));
  t.deepEqual(codes, [
    'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
    'ERR_LEASEHOLD_NOT_IDLE',
    'ERR_LEASEHOLD_RELEASED',
    'ERR_LEASEHOLD_RELEASED',
    'ERR_LEASEHOLD_WRITE_TIMEOUT',
    'ERR_LEASEHOLD_WRITE_LOCKED',
    'ERR_LEASEHOLD_SCOPE_ENDED',
    'ERR_LEASEHOLD_DEADLOCK',
  ]);
  t.deepEqual(
    told.flatMap(({ event, kind }) => (event === 'leak' ? [kind] : [])),
    ['overdue', 'returned'],
  );
  t.is(told.filter(({ event }) => event === 'deadlock').length, 1);
  t.like(told.at(-2), { items: [{ name: 'kept' }, { name: 'more' }] });
  t.like(told.at(-1), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0, unreleased: 0 });
});

for (const [what, setUp] of Object.entries(settings)) {
  test.serial(`${what} changes nothing but the stacks`, async (t) => {
    untouched ??= await outcomeOf(t, '');
    t.deepEqual(await outcomeOf(t, setUp), untouched);
  });
}
