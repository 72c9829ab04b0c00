import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { watchTracing } from '../support/channels.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { anyText, hostileTexts, isReadable } from './values.ts';

function failureOf(call: Promise<unknown>): Promise<Error> {
  return call.then(
    () => new Error('It was granted'),
    (error: unknown) => error as Error,
  );
}

/** All that is said of a pool of one connection whose holders have a label, while everything goes wrong. */
async function everythingSaid(pool: SqlitePool, clock: FakeClock, label: string): Promise<Error[]> {
  const said: Error[] = [];
  for (const name of ['dirty', 'leak', 'deadlock'] as const)
    pool.on(name, ({ message }) => said.push(new Error(message)));
  pool.on('timeout', ({ error }) => said.push(error));
  const done = gate();
  const holding = pool.withConnection(
    async (db) => {
      db.exec('BEGIN IMMEDIATE');
      await done.passed;
      return db.prepare('SELECT 1');
    },
    { label },
  );
  await settled();
  const calls = [
    pool.acquire({ label, timeout: 100 }),
    pool.run('INSERT INTO item VALUES (1)', [], { label, timeout: 100 }),
    pool.transaction(() => {}, { label, timeout: 100 }),
  ].map(failureOf);
  await settled();
  calls.push(failureOf(pool.acquire({ label })));
  await clock.pass(1000);
  try {
    pool.assertIdle();
  } catch (error) {
    said.push(error as Error);
  }
  done.open();
  const stale = await holding;
  said.push(...(await Promise.all(calls)));
  try {
    stale.get();
  } catch (error) {
    said.push(error as Error);
  }
  said.push(await failureOf(pool.transaction((tx) => tx.exec('COMMIT'), { label })));
  said.push(await failureOf(pool.read((db) => db.exec('DELETE FROM item'), { label })));
  said.push(await failureOf(pool.withConnection((db) => db.discard(label), { label })));
  return said;
}

async function openPool(t: ExecutionContext, options?: SqlitePoolOptions, file = temporaryFile(t)) {
  const clock = new FakeClock();
  const pool = new SqlitePool(file, { max: 1, maxWaiting: 1, leakThreshold: 500, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.withConnection((db) => db.exec('CREATE TABLE IF NOT EXISTS item (name)'));
  return { clock, pool };
}

test('no label or name of a pool adds a line to a message, moves a cursor, reorders what is read, or fills the screen', async (t) => {
  const directory = temporaryDirectory(t);
  let count = 0;
  const names = anyText.filter((text) => text !== '');
  const isShown = fc.asyncProperty(anyText, names, async (label, name) => {
    const { clock, pool } = await openPool(t, { name, pragmas: { synchronous: 'OFF' } }, `${directory}/${count++}.db`);
    const said = await everythingSaid(pool, clock, label);
    t.true(said.length >= 12, `${said.length} messages`);
    for (const { message } of said) {
      isReadable(t, message, 6);
      // Who holds the one connection has one line at most, and nobody else has any.
      t.true(message.split('\n').filter((line) => /^\s*#\d/.test(line)).length <= 1, message);
    }
    await pool.close({ timeout: 0 });
  });
  const examples = hostileTexts.map((text): [string, string] => [text, text]);
  await fc.assert(isShown, { numRuns: 30, examples });
});

test('where labels are data they are what was given, to the last character', async (t) => {
  const { pool } = await openPool(t, { name: 'app' });
  const trace = watchTracing<{ poolId: number; label: string | undefined }>(t, 'leasehold:acquire', pool);
  const events: (string | undefined)[] = [];
  for (const name of ['acquire', 'release'] as const) pool.on(name, ({ label }) => events.push(label));
  const labels = [...hostileTexts, '', 'toString', 'undefined'];
  for (const label of labels) {
    await pool.withConnection(() => t.is(pool.leases()[0]?.label, label), { label });
  }
  t.deepEqual(
    events,
    labels.flatMap((label) => [label, label]),
  );
  t.deepEqual(
    trace.told.filter(({ step }) => step === 'start').map(({ label }) => label),
    labels,
  );
  const stats = pool.stats({ by: 'label' });
  t.deepEqual(new Set(stats.map(({ label }) => label)), new Set(labels));
  t.true(stats.every(({ acquired, leased }) => acquired === 1 && leased === 0));
});

test('a name of a file is shown like any other text', async (t) => {
  for (const text of ['a\nb', '\u001b[2J', '\u202eb.da', '__proto__', "'; DROP TABLE t; --", '🎉']) {
    const pool = new SqlitePool(`${temporaryDirectory(t)}/missing/${text}.db`);
    const error = await failureOf(pool.acquire());
    t.like(error, { code: 'ERR_LEASEHOLD_OPEN' });
    isReadable(t, error.message);
    await pool.close();
    const { pool: real } = await openPool(t, {}, `${temporaryDirectory(t)}/${text}.db`);
    t.is(real.name, text.includes('.') ? real.name : text);
    t.is(await real.get('SELECT 1 AS one').then((row) => (row as { one: number }).one), 1);
  }
});

test('however many labels clients make up, a pool tells a thousand apart and counts the rest together', async (t) => {
  const { pool } = await openPool(t, { leakThreshold: Infinity });
  for (let number = 0; number < 3000; number++) {
    await pool.withConnection(() => {}, { label: `GET /users/${number}` });
  }
  const stats = pool.stats({ by: 'label' });
  t.is(stats.length, 1001);
  t.is(stats.find(({ label }) => label === undefined)?.acquired, 2000);
});

test('an inspected pool shows no name that moves a cursor or fills the screen', async (t) => {
  for (const name of hostileTexts.filter((text) => !/[\u2028-\u202e\u2066-\u2069]/u.test(text))) {
    const pool = new SqlitePool(`${temporaryDirectory(t)}/app.db`, { name });
    const shown = inspect(pool);
    t.notRegex(shown, /[^\n\P{Cc}]/u);
    t.true(shown.length < 20_000, `${shown.length} characters`);
    await pool.close();
  }
});

// Node escapes controls, and nothing else.
test('an inspected pool shows no name that reorders what is read', (t) => {
  const pool = new SqlitePool(`${temporaryDirectory(t)}/app.db`, { name: 'a\u202eb\u2066c' });
  for (const shown of [inspect(pool), inspect(pool.db)]) t.notRegex(shown, /[\u2028-\u202e\u2066-\u2069]/u);
});

// It is cut by UTF-16 code units, and lone surrogates are left as they are.
test('a label in a message is text that every encoding can write', async (t) => {
  for (const label of [`x${'🎉'.repeat(400)}`, '\ud800']) {
    const { pool, clock } = await openPool(t);
    for (const { message } of await everythingSaid(pool, clock, label)) t.true(message.isWellFormed(), message);
  }
});
