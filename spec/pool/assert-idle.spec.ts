import test from 'ava';
import { NotIdleError } from '../../lib/congestion-errors.ts';
import type { SqlitePool } from '../../lib/index.ts';
import { attempt, FakeDriver, fakePool } from '../support/driver.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { lockingProcess, temporaryPool } from '../support/sqlite.ts';

const advice = 'Await all work, and release each lease, before this.';
const hint = ' Set "leakThreshold" to see here where each lease was acquired.';

test('a pool that nobody uses is idle: before the first acquire, after the last release, and when it is closed', async (t) => {
  const { pool } = fakePool(t);
  t.notThrows(() => pool.assertIdle());
  const db = await pool.acquire();
  await db.release();
  t.is(pool.assertIdle(), undefined);
  await pool.withConnection((own) => own.use());
  t.notThrows(() => pool.assertIdle());
  await pool.ready();
  t.notThrows(() => pool.assertIdle(), 'open connections are no leases');
  await pool.close();
  t.notThrows(() => pool.assertIdle());
});

test('every lease that is held is named, oldest first, bound or not', async (t) => {
  const { pool, clock } = fakePool(t, { name: 'app', max: 3 });
  const first = await pool.acquire({ label: 'first' });
  first.begin();
  await clock.pass(1200);
  const done = gate();
  const bound = pool.withConnection(() => done.passed, { label: 'GET /a' });
  await settled();
  const third = pool.tryAcquire();
  await clock.pass(30);
  const error = t.throws<NotIdleError>(() => pool.assertIdle(), { instanceOf: NotIdleError });
  t.is(error.code, 'ERR_LEASEHOLD_NOT_IDLE');
  t.is(
    error.message,
    `Pool "app" is not idle: 3 leases not given back. ${advice}${hint}` +
      '\n  #1  first             1.2 s   transaction open, last used 1.2 s ago' +
      '\n  #2  GET /a            30 ms   last used 30 ms ago' +
      '\n  #3  no label          30 ms   last used 30 ms ago',
  );
  t.like(error, { pool: 'app', max: 3, leased: 3, waiting: 0 });
  t.deepEqual(
    error.holders.map(({ id, label, scope, inTransaction }) => [id, label, scope, inTransaction]),
    [
      [1, 'first', undefined, true],
      [2, 'GET /a', 1, false],
      [3, undefined, undefined, false],
    ],
  );
  t.deepEqual(error.holders, pool.leases());
  await first.release();
  t.true(t.throws(() => pool.assertIdle()).message.startsWith('Pool "app" is not idle: 2 leases not given back. '));
  await third?.release();
  t.true(t.throws(() => pool.assertIdle()).message.startsWith('Pool "app" is not idle: 1 lease not given back. '));
  done.open();
  await bound;
  t.notThrows(() => pool.assertIdle());
});

test('none is left out, however many they are', async (t) => {
  const { pool } = fakePool(t, { max: 100 });
  const handles = await Promise.all(Array.from({ length: 100 }, () => pool.acquire()));
  const { message } = t.throws(() => pool.assertIdle());
  t.deepEqual(
    [...message.matchAll(/\n {2}#(\d+) /g)].map(([, id]) => Number(id)),
    handles.map((_, index) => index + 1),
  );
  for (const db of handles) await db.release();
});

test('who waits for a connection is counted, behind a holder as well as behind an opening', async (t) => {
  const driver = new FakeDriver();
  const opening = gate();
  driver.beforeOpen = () => opening.passed;
  const { pool } = fakePool(t, { name: 'app', max: 1 }, driver);
  const first = attempt(pool.acquire());
  t.is(
    t.throws(() => pool.assertIdle()).message,
    `Pool "app" is not idle: 0 leases not given back, 1 acquire waiting. ${advice}`,
    'and without a lease there is nothing to set "leakThreshold" for',
  );
  opening.open();
  await settled();
  const others = [attempt(pool.acquire()), attempt(pool.acquire())];
  t.is(
    t.throws(() => pool.assertIdle()).message,
    `Pool "app" is not idle: 1 lease not given back, 2 acquires waiting. ${advice}${hint}` +
      '\n  #1  no label          0 ms   last used 0 ms ago',
  );
  for (const waiting of [first, ...others]) {
    t.throws(() => pool.assertIdle(), { code: 'ERR_LEASEHOLD_NOT_IDLE' });
    await waiting.handle?.release();
    await settled();
  }
  t.notThrows(() => pool.assertIdle());
});

test('where stacks are captured, each line says where its lease was acquired', async (t) => {
  const { pool } = fakePool(t, { name: 'app', leakThreshold: 60_000 });
  async function forgetful() {
    return pool.acquire({ label: 'a\nb' });
  }
  const db = await forgetful();
  const { message } = t.throws(() => pool.assertIdle());
  t.regex(
    message,
    /^Pool "app" is not idle: 1 lease not given back\. Await all work, and release each lease, before this\.\n {2}#1 {2}a\\u000ab +0 ms {3}last used 0 ms ago {3}at forgetful \(spec\/pool\/assert-idle\.spec\.[tj]s:\d+:\d+\) from spec\/pool\/assert-idle\.spec\.[tj]s:\d+:\d+$/,
  );
  await db.release();
});

test('it changes nothing: nobody loses a connection or a place in the queue', async (t) => {
  const { pool, clock } = fakePool(t, { max: 1 });
  const db = await pool.acquire();
  const next = attempt(pool.acquire());
  const before = pool.stats();
  t.throws(() => pool.assertIdle());
  t.deepEqual(pool.stats(), before);
  t.is(db.use(), 1);
  await clock.pass(100);
  await db.release();
  await settled();
  t.is(next.handle?.use(), 1);
});

test('a scope that holds nothing is not idle work of the pool, one that holds is, until its end', async (t) => {
  const { pool } = fakePool(t);
  await pool.withScope(async () => {
    t.notThrows(() => pool.assertIdle());
    await pool.connection();
    t.throws(() => pool.assertIdle(), { code: 'ERR_LEASEHOLD_NOT_IDLE' });
  });
  t.notThrows(() => pool.assertIdle());
});

/** Ways to write that wait without a connection of their own. */
const writes: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  run: (pool) => pool.run("INSERT INTO item VALUES ('x')"),
  transaction: (pool) => pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('x')")),
  withConnection: (pool) => pool.withConnection((db) => db.exec("INSERT INTO item VALUES ('x')"), { write: true }),
  acquire: (pool) => pool.acquire({ write: true }).then((db) => db.exec("INSERT INTO item VALUES ('x')").close()),
};

for (const [how, write] of Object.entries(writes)) {
  test(`a write by ${how} that waits behind another pool of its file is not idle until it is done`, async (t) => {
    const file = temporaryFile(t);
    const [one, other] = [temporaryPool(t, { name: 'one' }, file), temporaryPool(t, { name: 'other' }, file)];
    await one.run('CREATE TABLE item (name TEXT)');
    await other.get('SELECT 1');
    const holder = await one.acquire({ write: true });
    const writing = [write(other), write(other)];
    await settled();
    const error = t.throws<NotIdleError>(() => other.assertIdle(), { instanceOf: NotIdleError });
    t.like(error, { pool: 'other', leased: 0, waiting: 2, holders: [] });
    t.is(error.message, `Pool "other" is not idle: 0 leases not given back, 2 acquires waiting. ${advice}`);
    t.is(
      t.throws<NotIdleError>(() => one.assertIdle()).waiting,
      0,
      'who waits in another pool is no matter of this one',
    );
    holder.close();
    await Promise.all(writing);
    t.notThrows(() => other.assertIdle());
    t.notThrows(() => one.assertIdle());
  });
}

test('a write that was refused while it waited is idle again', async (t) => {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (name TEXT)');
  const holder = await pool.acquire({ write: true });
  const controller = new AbortController();
  const refused = t.throwsAsync(pool.transaction(() => {}, { signal: controller.signal }));
  await settled();
  t.like(
    t.throws<NotIdleError>(() => pool.assertIdle()),
    { leased: 1, waiting: 1 },
  );
  controller.abort();
  await refused;
  t.like(
    t.throws<NotIdleError>(() => pool.assertIdle()),
    { leased: 1, waiting: 0 },
  );
  holder.close();
  t.notThrows(() => pool.assertIdle());
});

for (const [how, call] of Object.entries({
  ...writes,
  'get of a reader': (pool: SqlitePool) => pool.get('SELECT 1'),
})) {
  test(`a first opening that waits for a lock elsewhere is not idle: ${how}`, async (t) => {
    const file = temporaryFile(t);
    const other = await lockingProcess(t, file);
    const pool = temporaryPool(
      t,
      { name: 'app', onOpen: (db) => db.exec('CREATE TABLE IF NOT EXISTS item (name)') },
      file,
    );
    const waiting = call(pool);
    await settled();
    const error = t.throws<NotIdleError>(() => pool.assertIdle(), { instanceOf: NotIdleError });
    t.like(error, { leased: 0, waiting: 1 });
    await other.release();
    await waiting;
    t.notThrows(() => pool.assertIdle());
  });
}
