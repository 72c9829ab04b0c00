import test from 'ava';
import { QueueFullError } from '../../lib/congestion-errors.ts';
import { ClosedError, ScopeEndedError } from '../../lib/errors.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = 'INSERT INTO item VALUES (?)';

test('one write transaction of a file is open at a time, however many are begun and however long they await', async (t) => {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, { max: 1 }, file)];
  await pool.run(table);
  await other.run(table);
  let open = 0;
  let most = 0;
  const transactions = Array.from({ length: 40 }, (_, index) =>
    (index % 2 === 0 ? pool : other).transaction(async (tx) => {
      most = Math.max(most, ++open);
      tx.prepare(insert).run(`${index}`);
      await settled();
      open--;
    }),
  );
  await Promise.all(transactions);
  t.is(most, 1);
  t.deepEqual(await pool.all('SELECT count(*) AS n FROM item'), [{ n: 40 }]);
});

test('writers come by priority, equal ones in order of arrival, whichever call they come by', async (t) => {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
  await pool.run(table);
  await other.run(table);
  const holder = await pool.acquire({ write: true });
  const order: string[] = [];
  const note = (name: string) => () => void order.push(name);
  const calls = [
    () => pool.transaction(note('c1'), { priority: -1 }),
    () => pool.transaction(note('b1')),
    () => other.run(insert, ['x']).then(note('b2')),
    () => pool.withConnection(note('a1'), { priority: 1, write: true }),
    () => other.withConnection(() => other.transaction(note('a2'), { priority: 1 })),
    () => other.transaction(note('b3')),
    () =>
      pool.acquire({ write: true, priority: -1 }).then((db) => {
        order.push('c2');
        db.close();
      }),
  ];
  const writers: Promise<void>[] = [];
  for (const call of calls) {
    writers.push(call());
    await settled();
  }
  t.is(pool.stats().laneWaiting, writers.length);
  holder.close();
  await Promise.all(writers);
  t.deepEqual(order, ['a1', 'a2', 'b1', 'b2', 'b3', 'c1', 'c2']);
});

test('the first writers of a pool that has opened nothing yet come in order of arrival', async (t) => {
  const pool = temporaryPool(t);
  const order: number[] = [];
  await Promise.all([1, 2, 3, 4].map((index) => pool.transaction(() => void order.push(index))));
  t.deepEqual(order, [1, 2, 3, 4]);
});

test('the first writers come in order of arrival also where the connection takes its time to open', async (t) => {
  const opening = gate();
  const pool = temporaryPool(t, { onOpen: () => opening.passed });
  const order: number[] = [];
  const writers = [1, 2, 3].map((index) => pool.transaction(() => void order.push(index)));
  await settled();
  opening.open();
  await settled();
  writers.push(pool.transaction(() => void order.push(4)));
  await Promise.all(writers);
  t.deepEqual(order, [1, 2, 3, 4]);
});

test('queued writers hold no slot: with one slot and 50 of them a read goes through at once', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.run(table);
  const done = gate();
  const writers = Array.from({ length: 50 }, (_, index) =>
    pool.transaction(async (tx) => {
      tx.prepare(insert).run(`${index}`);
      await done.passed;
    }),
  );
  await settled();
  t.like(pool.stats(), { laneHeld: 1, laneWaiting: 49, waiting: 0, leased: 1 });
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
  t.deepEqual(await pool.read((db) => db.prepare('SELECT * FROM item').all()), []);
  const db = pool.tryAcquire();
  t.not(db, undefined);
  db?.close();
  t.is(pool.stats().laneWaiting, 49);
  done.open();
  await Promise.all(writers);
  t.like(await pool.get('SELECT count(*) AS n FROM item'), { n: 50 });
});

test('holders of all slots do not keep a writer waiting', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.run(table);
  const reader = await pool.acquire();
  t.is(await pool.transaction((tx) => tx.prepare(insert).run('x').changes), 1);
  t.like(await pool.run(insert, ['y']), { changes: 1 });
  t.deepEqual(reader.prepare('SELECT count(*) FROM item').pluck().get(), 2);
  reader.close();
});

test('an abort takes a writer out of the lane, unbound and bound', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  const controller = new AbortController();
  const { signal } = controller;
  const refused = [
    pool.transaction(() => t.fail(), { signal }),
    pool.run(insert, ['x'], { signal }),
    pool.acquire({ write: true, signal }),
    pool.withConnection(() => t.fail(), { write: true, signal }),
    pool.withConnection(() => pool.transaction(() => t.fail(), { signal })),
    pool.withConnection(() => pool.transaction(() => t.fail()), { signal }),
    pool.withScope(() => pool.connection({ write: true }), { signal }),
  ];
  const errors = Promise.all(refused.map((waiting) => t.throwsAsync(waiting, { code: 'ABORT_ERR' })));
  await settled();
  t.is(pool.stats().laneWaiting, refused.length);
  const reason = new Error('gone');
  controller.abort(reason);
  t.is(pool.stats().laneWaiting, 0);
  for (const { cause } of await errors) t.is(cause, reason);
  holder.close();
  t.like(pool.stats(), { laneHeld: 0, leased: 0 });
});

test('the abort of its lease takes an asynchronous transaction function out of the lane', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  const controller = new AbortController();
  const db = await pool.acquire({ signal: controller.signal });
  const waiting = db.transaction(async () => t.fail())();
  waiting.catch(() => {});
  await settled();
  controller.abort();
  t.is(pool.stats().laneWaiting, 0);
  holder.close();
  await t.throwsAsync(waiting, { code: 'ABORT_ERR' });
  db.close();
});

test('a deadline takes a writer out of the lane, and it counts from the call, not from its turn', async (t) => {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { acquireTimeout: 1000 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  const short = pool.transaction(() => t.fail(), { timeout: 10 });
  const bound = pool.withConnection(() => pool.transaction(() => t.fail(), { timeout: 20 }));
  const usual = pool.run(insert, ['x']);
  const forever = pool.transaction(() => 'in', { timeout: Infinity });
  await clock.pass(9);
  t.is(pool.stats().laneWaiting, 4);
  await clock.pass(1);
  t.is(pool.stats().laneWaiting, 3);
  await t.throwsAsync(short, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  await clock.pass(990);
  t.is(pool.stats().laneWaiting, 1);
  await t.throwsAsync(bound, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  await t.throwsAsync(usual, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT' });
  await clock.pass(100_000);
  holder.close();
  t.is(await forever, 'in');
});

test('beyond `maxWaiting` a writer is refused at once, and told who holds the lane', async (t) => {
  const pool = temporaryPool(t, { maxWaiting: 2, acquireTimeout: 60_000 });
  await pool.run(table);
  const holder = await pool.acquire({ write: true, label: 'importer' });
  const waiting = [pool.transaction(() => 1), pool.run(insert, ['x'])];
  await settled();
  for (const attempt of [
    () => pool.transaction(() => t.fail()),
    () => pool.run(insert, ['y']),
    () => pool.acquire({ write: true }),
    () => pool.withConnection(() => pool.transaction(() => t.fail())),
  ]) {
    await t.throwsAsync<QueueFullError>(attempt(), { instanceOf: QueueFullError, message: /importer/ });
  }
  t.is(pool.stats().laneWaiting, 2);
  t.is(pool.stats().counters.refused, 4);
  holder.close();
  await Promise.all(waiting);
  t.is(await pool.transaction(() => 'in'), 'in');
});

test('`maxWaiting` of 0 refuses whoever would have to wait, and nobody else', async (t) => {
  const pool = temporaryPool(t, { maxWaiting: 0 });
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  await t.throwsAsync(pool.run(insert, ['x']), { instanceOf: QueueFullError });
  holder.close();
  t.like(await pool.run(insert, ['x']), { changes: 1 });
});

test('the end of a scope takes out the writers it left waiting, unbound and bound', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  const holder = await pool.acquire({ write: true });
  const left: Promise<unknown>[] = [];
  await pool.withScope(async () => {
    left.push(
      pool.transaction(() => t.fail()),
      pool.run(insert, ['x']),
      pool.acquire({ write: true }),
    );
    await settled();
  });
  await pool.withConnection(async (db) => {
    left.push(
      pool.transaction(() => t.fail()),
      db.transaction(async () => t.fail())(),
      pool.run(insert, ['x']),
    );
    left.push(pool.connection({ write: true }));
    for (const waiting of left) waiting.catch(() => {});
    await settled();
    t.true(pool.stats().laneWaiting > 0);
  });
  for (const waiting of left) await t.throwsAsync(waiting, { instanceOf: ScopeEndedError });
  t.is(pool.stats().laneWaiting, 0);
  holder.close();
  t.like(pool.stats(), { laneHeld: 0, leased: 0 });
});

for (const timeout of [0, 60_000]) {
  test(`a pool that closes with a timeout of ${timeout} refuses at once who waits in the lane, unbound and bound`, async (t) => {
    const file = temporaryFile(t);
    const [pool, other] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
    await pool.run(table);
    await other.run(table);
    const holder = await other.acquire({ write: true });
    const bound = await pool.acquire();
    const refused = [
      pool.transaction(() => t.fail()),
      pool.run(insert, ['x']),
      pool.acquire({ write: true }),
      bound.transaction(async () => t.fail())(),
    ];
    const foreign = other.transaction(() => 'in');
    await settled();
    const outcomes = refused.map((waiting) => t.throwsAsync(waiting));
    const closing = pool.close({ timeout });
    t.is(other.stats().laneWaiting, 1);
    const [transaction, run, acquire, onLease] = await Promise.all(outcomes);
    for (const error of [transaction, run, acquire]) t.true(error instanceof ClosedError, String(error));
    t.is(
      (onLease as Error & { code?: string }).code,
      timeout === 0 ? 'ERR_LEASEHOLD_RELEASED' : 'ERR_LEASEHOLD_CLOSED',
    );
    if (bound.open) bound.close();
    await closing;
    holder.close();
    t.is(await foreign, 'in');
    t.is(other.stats().laneHeld, 0);
  });
}
