import test, { type ExecutionContext } from 'ava';
import type { PoolEvents, SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { WriteLockedError, WriteTimeoutError } from '../../lib/transaction-errors.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = 'INSERT INTO item VALUES (?)';
const secret = 'swordfish';

/** Two pools of one file on one clock that stands still: `orders` is to be waited for by `app`. */
async function twoPools(t: ExecutionContext, options?: SqlitePoolOptions) {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const pool = new SqlitePool(file, { name: 'app', ...options }, clock);
  const orders = new SqlitePool(file, { name: 'orders', ...options }, clock);
  t.teardown(() => Promise.all([pool.close({ timeout: 0 }), orders.close({ timeout: 0 })]).then(() => {}));
  await pool.run(table);
  await orders.run(table);
  return { clock, pool, orders };
}

/** Ways to hold the lane, by what the others are told of it. Each writes a value of its own, and resolves when it ends. */
const holders: Record<string, (pool: SqlitePool, until: Promise<void>) => Promise<unknown>> = {
  transaction: (pool, until) =>
    pool.transaction(
      async (tx) => {
        tx.prepare(insert).run(secret);
        await until;
      },
      { label: 'POST /order' },
    ),
  'write scope': (pool, until) =>
    pool.withConnection(
      async (db) => {
        db.prepare(insert).run(secret);
        await until;
      },
      { label: 'POST /order', write: true },
    ),
  'raw transaction': (pool, until) =>
    pool.withConnection(
      async (db) => {
        db.exec(`BEGIN IMMEDIATE; INSERT INTO item VALUES ('${secret}')`);
        await until;
        db.exec('COMMIT');
      },
      { label: 'POST /order' },
    ),
};

for (const [kind, hold] of Object.entries(holders)) {
  test(`who waits in vain for a ${kind} is told who holds the lane, for what, and for how long`, async (t) => {
    const { clock, pool, orders } = await twoPools(t);
    const done = gate();
    const holding = hold(orders, done.passed);
    await settled();
    await clock.pass(1500);
    const refused = pool.run(insert, [`${secret} too`], { timeout: 3000, label: 'GET /report' });
    const other = pool.transaction(() => {});
    const errors = t.throwsAsync<WriteTimeoutError>(refused, { instanceOf: WriteTimeoutError });
    await settled();
    await clock.pass(3000);
    const error = await errors;
    t.is(error.code, 'ERR_LEASEHOLD_WRITE_TIMEOUT');
    t.is(
      error.message,
      'Timed out after 3000 ms waiting to write to "app" for "GET /report" (2 waiting, this one as number 1).' +
        `\n  POST /order  ${kind} of pool "orders" for 4.5 s, last used 4.5 s ago` +
        '\n  What to do: look at what the holder awaits while it may write, and do that before or after; or wait longer. ' +
        'Set "leakThreshold" to see here where the holder asked for it.',
    );
    const { holder, ...fields } = error;
    t.like(fields, { pool: 'app', timeout: 3000, label: 'GET /report', position: 1, waiting: 2 });
    t.is(error.cause, undefined);
    t.like(holder, { pool: 'orders', label: 'POST /order', kind, age: 4500 });
    t.like(holder?.lease, { label: 'POST /order', age: 4500, idleFor: 4500, mode: 'write' });
    done.open();
    await Promise.all([holding, other]);
  });

  test(`whose synchronous write a ${kind} keeps out is told the same at once, and what to do instead`, async (t) => {
    const { clock, pool, orders } = await twoPools(t);
    const done = gate();
    const holding = hold(orders, done.passed);
    await settled();
    await clock.pass(250);
    const db = await pool.acquire();
    const error = t.throws<WriteLockedError>(() => db.prepare(insert).run(`${secret} too`), {
      instanceOf: WriteLockedError,
    });
    t.is(error.code, 'ERR_LEASEHOLD_WRITE_LOCKED');
    t.like(error, { pool: 'app', holder: { pool: 'orders', label: 'POST /order', kind, age: 250 } });
    t.regex(error.message, new RegExp(`POST /order {2}${kind} of pool "orders" for 250 ms`));
    for (const remedy of ['pool.transaction', 'pool.run', '{ write: true }']) t.true(error.message.includes(remedy));
    t.false(JSON.stringify([error, error.message, error.stack]).includes(secret));
    db.close();
    done.open();
    await holding;
  });

  test(`no value bound by a ${kind} or by who waits for it shows in errors, events and gauges`, async (t) => {
    const { clock, pool, orders } = await twoPools(t, { leakThreshold: 60_000, maxWaiting: 1 });
    const said: unknown[] = [];
    for (const name of ['wait', 'timeout', 'acquire', 'release', 'dirty', 'discard', 'leak', 'error'] as const) {
      pool.on(name, (event: PoolEvents[typeof name]) => said.push(event));
      orders.on(name, (event: PoolEvents[typeof name]) => said.push(event));
    }
    const done = gate();
    const holding = hold(orders, done.passed);
    await settled();
    const refused = [pool.run(insert, [secret], { timeout: 10 }), pool.run(insert, [secret])];
    for (const waiting of refused) waiting.catch((error: unknown) => said.push(error));
    await settled();
    await clock.pass(10);
    said.push(pool.stats(), orders.stats(), pool.leases(), orders.leases());
    done.open();
    await holding;
    const [timeout, full] = await Promise.allSettled(refused);
    t.is(timeout?.status, 'rejected');
    t.is(full?.status, 'rejected');
    const text = said.map((thing) =>
      thing instanceof Error ? `${thing.stack} ${JSON.stringify(thing)}` : JSON.stringify(thing),
    );
    t.true(text.length > 8);
    t.false(text.join('\n').includes(secret));
  });
}

test('a label from outside can not break out of its line', async (t) => {
  const { clock, pool, orders } = await twoPools(t);
  const holder = await orders.acquire({ write: true, label: 'evil\nINFO all is well\u202e' });
  const refused = t.throwsAsync(pool.run(insert, ['x'], { timeout: 1, label: 'a\rb' }));
  await settled();
  await clock.pass(1);
  const { message } = await refused;
  t.is(message.split(/[\n\r]/).length, 3, 'of the wait, of the holder, and what to do');
  t.false(message.includes('\u202e'));
  holder.close();
});

test('where stacks are captured, the holder is named by the place where it took its connection', async (t) => {
  const { clock, pool, orders } = await twoPools(t, { leakThreshold: 60_000 });
  const holder = await orders.acquire({ write: true });
  const refused = t.throwsAsync(pool.run(insert, ['x'], { timeout: 1 }), {
    message: /no label {2}write scope of pool "orders" .* at .*lane-reports\.spec/,
  });
  await settled();
  await clock.pass(1);
  await refused;
  holder.close();
});

test('the age is that of the lane, not of the lease, nor of the wait', async (t) => {
  const { clock, pool, orders } = await twoPools(t);
  const first = await pool.acquire({ write: true });
  const db = await orders.acquire();
  await clock.pass(1000);
  const done = gate();
  const holding = db.transaction(async () => done.passed)();
  await settled();
  await clock.pass(1000);
  first.close();
  await settled();
  await clock.pass(70);
  const error = t.throws<WriteLockedError>(() => orders.tryAcquire()?.exec("INSERT INTO item VALUES ('x')"));
  t.like(error.holder, { kind: 'transaction', age: 70, lease: { age: 2070 } });
  done.open();
  await holding;
  db.close();
});

test('`stats` tells who is in the lane of the file and how many wait, whichever pool they are of', async (t) => {
  const { pool, orders } = await twoPools(t);
  const gauges = () => [pool, orders].map((each) => [each.stats().laneHeld, each.stats().laneWaiting]);
  t.deepEqual(gauges(), [
    [0, 0],
    [0, 0],
  ]);
  const holder = await pool.acquire({ write: true });
  const waiting = [pool.transaction(() => {}), orders.run(insert, ['x'])];
  await settled();
  t.deepEqual(gauges(), [
    [1, 2],
    [1, 2],
  ]);
  holder.close();
  await Promise.all(waiting);
  t.deepEqual(gauges(), [
    [0, 0],
    [0, 0],
  ]);
});

test('a pool that has opened nothing yet tells of no lane', (t) => {
  t.like(temporaryPool(t).stats(), { laneHeld: 0, laneWaiting: 0, size: 0 });
});

test('those who wait in vain are counted by how it ended, in their own pool, and a timeout is an event', async (t) => {
  const { clock, pool, orders } = await twoPools(t, { maxWaiting: 3 });
  const events: PoolEvents['timeout'][] = [];
  pool.on('timeout', (event) => void events.push(event));
  const holder = await orders.acquire({ write: true });
  const db = await pool.acquire();
  const controller = new AbortController();
  const late = t.throwsAsync(pool.transaction(() => {}, { timeout: 40, label: 'late' }));
  const lateBound = t.throwsAsync(
    pool.withConnection(() => pool.run(insert, ['x'], { timeout: 40 }), { label: 'bound' }),
  );
  const aborted = t.throwsAsync(pool.acquire({ write: true, signal: controller.signal }));
  await settled();
  const full = t.throwsAsync(db.transaction(async () => {})());
  await full;
  t.like(pool.stats().counters, { timeouts: 0, refused: 1, aborted: 0 });
  controller.abort();
  await aborted;
  t.like(pool.stats().counters, { timeouts: 0, refused: 1, aborted: 1 });
  await clock.pass(40);
  const errors = [await late, await lateBound];
  t.like(pool.stats().counters, { timeouts: 2, refused: 1, aborted: 1 });
  t.deepEqual(
    events,
    errors.map((error, index) => ({ label: ['late', 'bound'][index], waited: 40, error })),
  );
  t.like(orders.stats().counters, { timeouts: 0, refused: 0, aborted: 0 });
  db.close();
  holder.close();
});

test('who is refused because the pool closes, or his scope ends, is no timeout', async (t) => {
  const { pool, orders } = await twoPools(t);
  const holder = await orders.acquire({ write: true });
  const refused: Promise<unknown>[] = [];
  await pool.withScope(async () => {
    refused.push(t.throwsAsync(pool.acquire({ write: true })));
    await settled();
  });
  refused.push(t.throwsAsync(pool.acquire({ write: true })));
  await settled();
  await pool.close();
  await Promise.all(refused);
  t.like(pool.stats().counters, { timeouts: 0, refused: 0, aborted: 1 });
  holder.close();
});
