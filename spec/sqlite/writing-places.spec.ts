import test from 'ava';
import { ReadOnlyError, WriteLockedError } from '../../lib/transaction-errors.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE item (name TEXT)';
const insert = "INSERT INTO item VALUES ('x')";

for (const file of [':memory:', '']) {
  const name = `a private database (${JSON.stringify(file)})`;

  test(`in ${name} the one connection serves as the lane's too`, async (t) => {
    const pool = temporaryPool(t, {}, file);
    await pool.run(table);
    t.is(await pool.transaction((tx) => tx.prepare(insert).run().changes), 1);
    t.like(await pool.run(insert), { changes: 1 });
    await pool.withConnection((db) => void db.exec(insert), { write: true });
    const db = await pool.acquire({ write: true });
    db.exec(insert);
    t.like(pool.stats(), { size: 1, leased: 1, laneHeld: 1 });
    t.is(pool.tryAcquire({ write: true }), undefined);
    db.close();
    await pool.withScope(async () => void (await pool.connection({ write: true })).exec(insert));
    const tried = pool.tryAcquire({ write: true });
    tried?.exec(insert);
    t.is(pool.stats().laneHeld, 1);
    tried?.close();
    t.like(await pool.get('SELECT count(*) AS n FROM item'), { n: 6 });
    t.like(pool.stats(), { size: 1, idle: 1, leased: 0, laneHeld: 0, laneWaiting: 0 });
  });

  test(`in ${name} writers wait for the connection, in their order`, async (t) => {
    const pool = temporaryPool(t, {}, file);
    await pool.run(table);
    const done = gate();
    const order: string[] = [];
    const writers = [
      pool.transaction(async () => {
        order.push('first');
        await done.passed;
      }),
      pool.transaction(() => order.push('second')),
      pool.transaction(() => order.push('urgent'), { priority: 1 }),
    ];
    await settled();
    t.like(pool.stats(), { laneHeld: 1, waiting: 2 });
    done.open();
    await Promise.all(writers);
    t.deepEqual(order, ['first', 'urgent', 'second']);
    t.like(pool.stats(), { laneHeld: 0, leased: 0 });
  });

  test(`two pools of ${name} have nothing in common`, async (t) => {
    const [one, other] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
    await one.run(table);
    await other.run(table);
    const holder = await one.acquire({ write: true });
    t.is(other.stats().laneHeld, 0);
    t.like(await other.run(insert), { changes: 1 });
    holder.close();
  });

  test(`in ${name} lane and connection come back from failures`, async (t) => {
    const pool = temporaryPool(t, {}, file);
    await pool.run(table);
    const controller = new AbortController();
    await t.throwsAsync(
      pool.transaction(() => Promise.reject(new Error('mine'))),
      { message: 'mine' },
    );
    await t.throwsAsync(
      pool.transaction(() => controller.abort(), { signal: controller.signal }),
      { code: 'ABORT_ERR' },
    );
    await t.throwsAsync(
      pool.transaction((tx) => void tx.close()),
      { code: 'ERR_LEASEHOLD_RELEASED' },
    );
    await t.throwsAsync(pool.run('INSERT INTO missing VALUES (1)'));
    t.like(pool.stats(), { leased: 0, laneHeld: 0 });
    t.like(await pool.run(insert), { changes: 1 });
  });

  test(`a separate transaction inside one in ${name} is refused at once`, async (t) => {
    const pool = temporaryPool(t, { acquireTimeout: 200 }, file);
    await pool.run(table);
    await pool.transaction(() =>
      t.throwsAsync(
        pool.transaction(() => t.fail(), { nesting: 'separate' }),
        { instanceOf: WriteLockedError },
      ),
    );
  });
}

test('a pool that is read-only needs no lane: what writes is refused at once, what reads waits for nobody', async (t) => {
  const file = temporaryFile(t);
  const writer = temporaryPool(t, {}, file);
  await writer.run(table);
  const pool = temporaryPool(t, { readonly: true }, file);
  const holder = await writer.acquire({ write: true });
  const refusal = { instanceOf: ReadOnlyError, code: 'ERR_LEASEHOLD_READ_ONLY', message: /is read-only/ };
  await t.throwsAsync(
    pool.transaction(() => t.fail()),
    refusal,
  );
  await t.throwsAsync(
    pool.transaction(() => t.fail(), { mode: 'exclusive' }),
    refusal,
  );
  await t.throwsAsync(
    pool.withConnection(() => pool.transaction(() => t.fail())),
    refusal,
  );
  await t.throwsAsync(pool.acquire({ write: true }), refusal);
  await t.throwsAsync(
    pool.withConnection(() => t.fail(), { write: true }),
    refusal,
  );
  await t.throwsAsync(
    pool.withConnection(() => pool.withConnection(() => t.fail(), { write: true })),
    refusal,
  );
  await t.throwsAsync(
    pool.withScope(() => pool.connection({ write: true })),
    refusal,
  );
  t.throws(() => pool.tryAcquire({ write: true }), refusal);
  await t.throwsAsync(pool.run(insert), { code: 'SQLITE_READONLY' });
  await pool.withConnection((db) => t.throws(() => db.exec(insert), { code: 'SQLITE_READONLY' }));
  t.deepEqual(await pool.all('SELECT * FROM item'), []);
  t.deepEqual(await pool.read((db) => db.prepare('SELECT * FROM item').all()), []);
  t.deepEqual(await pool.transaction((tx) => tx.prepare('SELECT * FROM item').all(), { mode: 'deferred' }), []);
  await pool.withConnection((db) => t.deepEqual(db.transaction(() => db.prepare('SELECT * FROM item').all())(), []));
  t.like(pool.stats(), { leased: 0, laneWaiting: 0 });
  holder.close();
});

test("the lane's connection is one more than `max`, opened when it is needed and kept like the others", async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const reader = await pool.acquire();
  t.like(pool.stats(), { size: 1, leased: 1, max: 1 });
  const writer = await pool.acquire({ write: true });
  t.like(pool.stats(), { size: 2, leased: 2, max: 1 });
  writer.close();
  t.like(pool.stats(), { size: 2, leased: 1, idle: 1 });
  await pool.transaction(() => t.is(pool.stats().size, 2));
  reader.close();
  t.is(pool.closeIdle(), 2);
  t.is(pool.stats().size, 0);
});
