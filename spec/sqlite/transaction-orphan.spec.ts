import test from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { openItems } from '../support/items.ts';

// A transaction whose lease is taken away while its function runs: what it does next must not commit by itself.

const insert = "INSERT INTO item VALUES ('never')";

/** What may take the lease away. */
const thefts: Record<string, (pool: SqlitePool, tx: LeasedDatabase) => unknown> = {
  closeOverdue: (pool) => pool.closeOverdue(0),
  'tx.close': (_, tx) => tx.close(),
};

/** What a function that knows nothing of it may do next. */
const uses: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  run: (pool) => pool.run(insert),
  get: (pool) => pool.get(`${insert} RETURNING name`),
  all: (pool) => pool.all('SELECT * FROM item'),
  transaction: (pool) => pool.transaction((tx) => tx.exec(insert)),
  read: (pool) => pool.read(() => 1),
  withConnection: (pool) => pool.withConnection((db) => db.exec(insert)),
  'withConnection for writing': (pool) => pool.withConnection((db) => db.exec(insert), { write: true }),
  connection: (pool) => pool.connection(),
};

const places: Record<string, (pool: SqlitePool, fn: (tx: LeasedDatabase) => Promise<void>) => Promise<unknown>> = {
  'an unbound transaction': (pool, fn) => pool.transaction(fn),
  'a bound transaction': (pool, fn) => pool.withConnection(() => pool.transaction(fn)),
  'a read': (pool, fn) => pool.read(fn),
};

for (const [place, within] of Object.entries(places)) {
  for (const [theft, take] of Object.entries(thefts)) {
    test(`in ${place} that has lost its connection by ${theft}, nothing goes on elsewhere`, async (t) => {
      const pool = await openItems(t);
      const lost = within(pool, async (tx) => {
        take(pool, tx);
        await settled();
        for (const [name, use] of Object.entries(uses)) {
          await t.throwsAsync(() => use(pool), { code: 'ERR_LEASEHOLD_RELEASED' }, name);
        }
      });
      await t.throwsAsync(lost, { code: 'ERR_LEASEHOLD_RELEASED' });
      t.deepEqual(await pool.all('SELECT * FROM item'), []);
      t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    });
  }
}

test('nor by way of another pool’s scope', async (t) => {
  const [pool, other] = [await openItems(t), await openItems(t)];
  const lost = pool.transaction(async (tx) => {
    tx.close();
    await t.throwsAsync(() => other.withConnection(() => pool.run(insert)), { code: 'ERR_LEASEHOLD_RELEASED' });
    await t.throwsAsync(() => other.transaction(() => pool.run(insert)), { code: 'ERR_LEASEHOLD_RELEASED' });
  });
  await t.throwsAsync(lost);
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
});

test('outside of its transactions a scope that has given its connection back may take another', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('kept')"));
    db.close();
    t.deepEqual(await pool.all('SELECT * FROM item'), [{ name: 'kept' }]);
    await pool.transaction((tx) => tx.exec("INSERT INTO item VALUES ('kept too')"));
  });
  t.is((await pool.all('SELECT * FROM item')).length, 2);
});
