import test from 'ava';
import { gate } from '../support/gate.ts';
import { insert, openItems } from '../support/items.ts';

// What the branches of a scope leave of the lane to others while they take turns on one connection.

test('a statement of the pool gives the lane back at its end, though a read has begun beside it', async (t) => {
  const pool = await openItems(t, { busyTimeout: 0 });
  await pool.withConnection(async () => {
    const [begun, done] = [gate(), gate()];
    const run = pool.run("INSERT INTO item VALUES ('run')");
    const reading = pool.read(async () => {
      begun.open();
      await done.passed;
    });
    await Promise.all([run, begun.passed]);
    t.is(pool.stats().laneHeld, 0);
    t.like(pool.leases(), [{ mode: 'read', inTransaction: true }]);
    await pool.transaction((tx) => insert(tx, 'another'), { nesting: 'separate', timeout: 1000 });
    done.open();
    await reading;
  });
  t.is((await pool.all('SELECT * FROM item')).length, 2);
});

test('who had the lane before a read does not think so after it', async (t) => {
  const pool = await openItems(t, { busyTimeout: 0 });
  await pool.withConnection(async (db) => {
    const [begun, done] = [gate(), gate()];
    await Promise.all([pool.run("INSERT INTO item VALUES ('run')"), pool.read(() => {})]);
    const another = pool.transaction(
      async (tx) => {
        insert(tx, 'another');
        begun.open();
        await done.passed;
      },
      { nesting: 'separate' },
    );
    await begun.passed;
    for (const write of [() => db.transaction(() => insert(db, 'never'))(), () => insert(db, 'never')]) {
      t.throws(write, { code: 'ERR_LEASEHOLD_WRITE_LOCKED' });
    }
    done.open();
    await another;
    t.is(pool.leases()[0]?.mode, 'connection');
  });
  t.is((await pool.all('SELECT * FROM item')).length, 2);
});
