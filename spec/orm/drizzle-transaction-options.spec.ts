import test from 'ava';
import { DrizzleQueryError } from 'drizzle-orm';
import { OptionsError } from '../../lib/index.ts';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { gate } from '../support/gate.ts';
import { neighbours } from '../support/processes.ts';
import { rawDatabase, wrong } from '../support/sqlite.ts';
import { codeOf, customers, namesIn, openShop } from './drizzle-shop.ts';

const before = ['Ada', 'Grace'];
const abort = { name: 'AbortError', code: 'ABORT_ERR' };

test('it begins IMMEDIATE unless told otherwise', async (t) => {
  const { db, pool } = await openShop(t);
  const other = rawDatabase(t, pool.db.name, { timeout: 0 });
  const write = () => other.exec("INSERT INTO customer (name) VALUES ('other')");
  for (const config of [undefined, { behavior: 'immediate' }, { behavior: 'exclusive' }] as const) {
    await db.transaction(async () => void t.throws(write, { code: 'SQLITE_BUSY' }), config);
  }
  await db.transaction(
    async (tx) => {
      t.notThrows(write);
      t.is(await tx.$count(customers), 3);
    },
    { behavior: 'deferred' },
  );
});

test('read only is a snapshot, beside a writer, in which writes are refused', async (t) => {
  const { db, pool } = await openShop(t);
  await db.transaction(async (writer) => {
    await writer.insert(customers).values({ name: 'Mary' });
    await db.transaction(
      async (tx) => {
        t.is(await tx.$count(customers), 2);
        t.deepEqual(await tx.query.customers.findFirst(), { id: 1, name: 'Ada' });
        t.is(await codeOf(tx.insert(customers).values({ name: 'Joan' })), 'ERR_LEASEHOLD_READ_ONLY');
        t.is(await codeOf(tx.transaction(async () => {})), 'ERR_LEASEHOLD_READ_ONLY');
        t.is(await tx.transaction((part) => part.$count(customers), { accessMode: 'read only' }), 2);
      },
      { accessMode: 'read only', nesting: 'separate' },
    );
  });
  t.deepEqual(await namesIn(pool), [...before, 'Mary']);
});

test('the label is that of its lease', async (t) => {
  const { db, pool } = await openShop(t);
  const labels = () => pool.leases().map(({ label }) => label);
  await db.transaction(async () => t.deepEqual(labels(), ['order']), { label: 'order' });
  await db.transaction(async () => t.deepEqual(labels(), ['report']), { label: 'report', accessMode: 'read only' });
  await pool.withScope(() => db.transaction(async () => t.deepEqual(labels(), ['GET /home'])), {
    label: 'GET /home',
  });
});

test('its wait for the turn to write is bounded by timeout, ordered by priority and ended by signal', async (t) => {
  const { db, pool } = await openShop(t);
  const controller = new AbortController();
  const order: string[] = [];
  const writer = await pool.acquire({ write: true });
  const late = codeOf(db.transaction(async () => void order.push('late'), { timeout: 10 }));
  const usual = db.transaction(async () => void order.push('usual'));
  const urgent = db.transaction(async () => void order.push('urgent'), { priority: 1 });
  const aborted = db.transaction(async () => void order.push('aborted'), { signal: controller.signal });
  controller.abort();
  await t.throwsAsync(aborted, abort);
  t.is(await late, 'ERR_LEASEHOLD_WRITE_TIMEOUT');
  writer.close();
  await Promise.all([usual, urgent]);
  t.deepEqual(order, ['urgent', 'usual']);
});

test('aborted inside, its queries reject with AbortError, and nothing is left open', async (t) => {
  const { db, pool } = await openShop(t);
  for (const run of ['transaction', 'scope'] as const) {
    const controller = new AbortController();
    const { signal } = controller;
    const transact = (options: { signal?: AbortSignal }) =>
      db.transaction(async (tx) => {
        await tx.insert(customers).values({ name: 'never' });
        controller.abort();
        await t.throwsAsync(async () => tx.select().from(customers), abort);
        await t.throwsAsync(async () => db.$count(customers), abort);
        await tx.insert(customers).values({ name: 'never, too' });
      }, options);
    await t.throwsAsync(
      run === 'transaction' ? transact({ signal }) : pool.withScope(() => transact({}), { signal }),
      abort,
    );
    await t.throwsAsync(
      pool.withScope(async () => db.insert(customers).values({ name: 'no' }), { signal }),
      abort,
    );
  }
  t.deepEqual(await namesIn(pool), before);
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
});

test('retries run the function again after a lock failure that a query of Drizzle has met', async (t) => {
  const { db, pool } = await openShop(t);
  const other = rawDatabase(t, pool.db.name, { timeout: 0 });
  let runs = 0;
  const transact = (retries: number) => {
    runs = 0;
    return db.transaction(
      async (tx) => {
        const seen = await tx.$count(customers);
        if (++runs === 1) other.exec(`INSERT INTO customer (name) VALUES ('other ${retries}')`);
        await tx.insert(customers).values({ name: `saw ${seen}` });
      },
      { behavior: 'deferred', retries },
    );
  };
  const stale = await t.throwsAsync(transact(0), { instanceOf: DrizzleQueryError });
  t.like(stale, { code: 'SQLITE_BUSY_SNAPSHOT', cause: { code: 'SQLITE_BUSY_SNAPSHOT' } });
  t.is(runs, 1);
  await transact(1);
  t.is(runs, 2);
  t.deepEqual(await namesIn(pool), [...before, 'other 0', 'other 1', 'saw 4']);
});

test('a query waits for the lock of another process with a free event loop', async (t) => {
  const { pool, other } = await neighbours(t);
  const db = drizzle(pool);
  await other.exec('BEGIN IMMEDIATE; INSERT INTO n VALUES (2)');
  const insert = db.run('INSERT INTO n VALUES (3)');
  const deferred = pool.withScope(() =>
    db.transaction((tx) => tx.run('INSERT INTO n VALUES (4)'), { behavior: 'deferred' }),
  );
  // Were the loop blocked, this could not be told to the other process before the busy timeout of 20 s.
  await other.exec('COMMIT');
  await Promise.all([insert, deferred]);
  t.deepEqual((await db.values('SELECT x FROM n ORDER BY x')).flat(), [1, 2, 3, 4]);
});

test('nesting decides what becomes of a transaction inside another', async (t) => {
  const { db, pool } = await openShop(t);
  const joined = db.transaction(async (tx) => {
    await tx.insert(customers).values({ name: 'Mary' });
    await tx.transaction((part) => part.insert(customers).values({ name: 'Ada' }), { nesting: 'join' }).catch(() => {});
  });
  t.is(await codeOf(joined), 'ERR_LEASEHOLD_TRANSACTION_ABORTED');
  const separate = db.transaction((tx) => tx.transaction(async () => {}, { nesting: 'separate' }));
  t.is(await codeOf(separate), 'ERR_LEASEHOLD_WRITE_LOCKED');
  t.deepEqual(await namesIn(pool), before);
});

test('an option that is unknown, of the wrong type or against another is refused before anything begins', async (t) => {
  const { db, pool } = await openShop(t);
  const { acquired } = pool.stats().counters;
  const wrongs: [config: object, option: string][] = [
    [{ behaviour: 'deferred' }, 'behaviour'],
    [{ mode: 'deferred' }, 'mode'],
    [{ behavior: 'concurrent' }, 'behavior'],
    [{ accessMode: 'read' }, 'accessMode'],
    [{ accessMode: 'read only', behavior: 'immediate' }, 'behavior'],
    [{ accessMode: 'read only', retries: 1 }, 'retries'],
    [{ timeout: 0 }, 'timeout'],
    [{ label: 1 }, 'label'],
  ];
  const ran = gate();
  for (const [config, option] of wrongs) {
    const transaction = db.transaction(async () => ran.open(), wrong(config));
    t.like(await t.throwsAsync(transaction, { instanceOf: OptionsError }), { option });
  }
  await t.throwsAsync(db.transaction(wrong('no function')), { instanceOf: OptionsError });
  t.is(pool.stats().counters.acquired, acquired);
});
