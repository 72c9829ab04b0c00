import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { WriteLockedError } from '../../lib/transaction-errors.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = "INSERT INTO item VALUES ('x')";
const busyTimeout = 30_000;

async function twoPools(t: ExecutionContext) {
  const file = temporaryFile(t);
  const [pool, other] = [temporaryPool(t, { busyTimeout }, file), temporaryPool(t, { busyTimeout }, file)];
  await pool.run(table);
  await other.run(table);
  return { pool, other };
}

/** Asserts that the one who should write can, and nobody else. */
async function assertHeldBy(t: ExecutionContext, write: () => unknown, other: SqlitePool): Promise<void> {
  t.notThrows(write);
  t.is(other.stats().laneHeld, 1);
  t.is(other.tryAcquire({ write: true }), undefined);
  const theirs = await other.acquire();
  t.throws(() => theirs.exec(insert), { instanceOf: WriteLockedError });
  theirs.close();
}

test('acquire({ write: true }) waits its turn and holds the lane until the release', async (t) => {
  const { pool, other } = await twoPools(t);
  const holder = await other.acquire({ write: true });
  const acquiring = pool.acquire({ write: true });
  await settled();
  t.is(pool.stats().laneWaiting, 1);
  holder.close();
  const db = await acquiring;
  await assertHeldBy(t, () => db.exec(insert), other);
  t.like(pool.leases(), [{ mode: 'write' }]);
  await settled();
  await assertHeldBy(t, () => db.exec(insert), other);
  db.close();
  t.is(pool.stats().laneHeld, 0);
});

test('tryAcquire({ write: true }) waits for nobody: a connection with the lane, or nothing', async (t) => {
  const { pool, other } = await twoPools(t);
  const fresh = temporaryPool(t, {}, pool.db.name);
  for (const subject of [pool, fresh]) {
    const holder = await other.acquire({ write: true });
    t.is(subject.tryAcquire({ write: true }), undefined);
    t.is(subject.stats().leased, 0);
    holder.close();
    const db = subject.tryAcquire({ write: true, label: 'lucky' });
    await assertHeldBy(t, () => db?.exec(insert), other);
    t.like(subject.leases(), [{ mode: 'write', label: 'lucky' }]);
    t.is(subject.tryAcquire({ write: true }), undefined);
    t.not(subject.tryAcquire(), undefined);
    db?.close();
    t.is(subject.stats().laneHeld, 0);
  }
});

test('tryAcquire({ write: true }) of a pool that has opened nothing finds a lane held elsewhere, and keeps nothing', async (t) => {
  const { other } = await twoPools(t);
  const holder = await other.acquire({ write: true });
  const fresh = temporaryPool(t, {}, other.db.name);
  t.is(fresh.tryAcquire({ write: true }), undefined);
  await settled();
  t.like(fresh.stats(), { leased: 0, laneHeld: 1, laneWaiting: 0 });
  holder.close();
});

test('withConnection({ write: true }) holds the lane until its end, for all it calls', async (t) => {
  const { pool, other } = await twoPools(t);
  await pool.withConnection(
    async (db) => {
      await assertHeldBy(t, () => db.exec(insert), other);
      await settled();
      await assertHeldBy(t, () => pool.db.exec(insert), other);
      await pool.withConnection((same) => t.is(same, db));
      await pool.withConnection((same) => t.is(same, db), { write: true });
      t.like(await pool.run(insert), { changes: 1 });
      await pool.transaction(() => pool.db.exec(insert));
      t.is(pool.stats().laneHeld, 1);
    },
    { write: true },
  );
  t.is(pool.stats().laneHeld, 0);
});

test('withConnection({ write: true }) in a scope with a connection keeps that, and holds the lane until the call ends', async (t) => {
  const { pool, other } = await twoPools(t);
  await pool.withConnection(async (outer) => {
    const holder = await other.acquire({ write: true });
    const nested = pool.withConnection(
      async (db) => {
        t.is(db, outer);
        await assertHeldBy(t, () => db.exec(insert), other);
        t.like(pool.leases(), [{ mode: 'write' }]);
        return 'result';
      },
      { write: true },
    );
    await settled();
    t.is(pool.stats().laneWaiting, 1);
    holder.close();
    t.is(await nested, 'result');
    t.like(pool.leases(), [{ mode: 'connection' }]);
    t.is(pool.stats().laneHeld, 0);
    const error = new Error('mine');
    t.is(await t.throwsAsync(pool.withConnection(() => Promise.reject(error), { write: true })), error);
    t.is(pool.stats().laneHeld, 0);
    t.true(outer.open);
  });
});

test('connection({ write: true }) binds a connection with the lane until the scope ends', async (t) => {
  const { pool, other } = await twoPools(t);
  await pool.withScope(async () => {
    const db = await pool.connection({ write: true });
    await assertHeldBy(t, () => pool.db.exec(insert), other);
    t.is(await pool.connection({ write: true }), db);
    await settled();
    await assertHeldBy(t, () => db.exec(insert), other);
  });
  t.is(pool.stats().laneHeld, 0);
});

test('connection({ write: true }) where one is bound already waits for the lane, and holds it until the scope ends', async (t) => {
  const { pool, other } = await twoPools(t);
  await pool.withScope(async () => {
    const bound = await pool.connection();
    const holder = await other.acquire({ write: true });
    const upgrading = pool.connection({ write: true });
    await settled();
    t.is(pool.stats().laneWaiting, 1);
    holder.close();
    t.is(await upgrading, bound);
    await assertHeldBy(t, () => bound.exec(insert), other);
    // What is nested takes nothing away.
    await pool.withConnection(() => pool.db.exec(insert), { write: true });
    await pool.run(insert);
    await pool.transaction(() => pool.db.exec(insert));
    await assertHeldBy(t, () => bound.exec(insert), other);
  });
  t.is(pool.stats().laneHeld, 0);
});

test('connection({ write: true }) in a nested write scope or a transaction holds the lane beyond its end', async (t) => {
  const { pool, other } = await twoPools(t);
  const arounds: ((fn: () => Promise<unknown>) => Promise<unknown>)[] = [
    (fn) => pool.transaction(fn),
    (fn) => pool.withConnection(fn, { write: true }),
  ];
  for (const around of arounds) {
    await pool.withConnection(async (db) => {
      await around(() => pool.connection({ write: true }));
      await assertHeldBy(t, () => db.exec(insert), other);
    });
    t.is(pool.stats().laneHeld, 0);
  }
});

test('of two write scopes side by side in one scope, the second keeps the lane when the first ends', async (t) => {
  const { pool, other } = await twoPools(t);
  await pool.withConnection(async (db) => {
    const [first, second] = [gate(), gate()];
    const scopes = [first, second].map(({ passed }) => pool.withConnection(() => passed, { write: true }));
    await settled();
    first.open();
    await scopes[0];
    await assertHeldBy(t, () => db.exec(insert), other);
    second.open();
    await scopes[1];
    t.is(pool.stats().laneHeld, 0);
  });
});

test('a transaction that outlasts the nested write scope it was begun in keeps the lane until its end', async (t) => {
  const { pool } = await twoPools(t);
  await pool.withConnection(async () => {
    const done = gate();
    let transaction: Promise<unknown> | undefined;
    await pool.withConnection(
      () => {
        transaction = pool.transaction(async (tx) => {
          tx.exec(insert);
          await done.passed;
        });
      },
      { write: true },
    );
    await settled();
    t.like(pool.leases(), [{ inTransaction: true, mode: 'write' }]);
    t.is(pool.stats().laneHeld, 1);
    done.open();
    await transaction;
    t.is(pool.stats().laneHeld, 0);
  });
});

test('what waits for the lane in one scope does not wait for the scope itself', async (t) => {
  const { pool, other } = await twoPools(t);
  const holder = await other.acquire({ write: true });
  await pool.withScope(async () => {
    await pool.connection();
    // The first to get its turn keeps it until the end of the scope, which awaits the others.
    const upgrading = pool.connection({ write: true });
    await settled();
    const calls = [
      pool.run(insert, [], { timeout: 500 }),
      pool.withConnection(() => 'in', { write: true, timeout: 500 }),
      pool.transaction(() => 'in', { timeout: 500 }),
    ];
    await settled();
    holder.close();
    await t.notThrowsAsync(Promise.all([upgrading, ...calls]));
  });
  t.is(pool.stats().laneHeld, 0);
});

test('`fresh` takes another connection with the lane, beside the one of the scope', async (t) => {
  const { pool, other } = await twoPools(t);
  await pool.withConnection(async (outer) => {
    await pool.withConnection(
      async (db) => {
        t.not(db, outer);
        await assertHeldBy(t, () => db.exec(insert), other);
        t.throws(() => outer.exec(insert), { instanceOf: WriteLockedError });
      },
      { write: true, fresh: true },
    );
    t.is(pool.stats().laneHeld, 0);
  });
});

test('write: false is as good as nothing, and what is no boolean is refused', async (t) => {
  const { pool, other } = await twoPools(t);
  const holder = await other.acquire({ write: true });
  const none = { write: false };
  await pool.withConnection(() => t.like(pool.leases(), [{ mode: 'connection' }]), none);
  (await pool.acquire(none)).close();
  pool.tryAcquire(none)?.close();
  await pool.withScope(() => pool.connection(none));
  holder.close();
  const wrong = { write: 'yes' } as never;
  const refusal = { code: 'ERR_LEASEHOLD_OPTIONS', message: /write/ };
  await t.throwsAsync(
    pool.withConnection(() => t.fail(), wrong),
    refusal,
  );
  await t.throwsAsync(pool.acquire(wrong), refusal);
  await t.throwsAsync(
    pool.withScope(() => pool.connection(wrong)),
    refusal,
  );
  t.throws(() => pool.tryAcquire(wrong), refusal);
});

test('what a lease is for shows in `leases()`: to read, to write, or anything', async (t) => {
  const { pool } = await twoPools(t);
  const mode = () => pool.leases()[0]?.mode;
  await pool.withConnection(async () => {
    t.is(mode(), 'connection');
    await pool.read(() => t.is(mode(), 'read'));
    t.is(mode(), 'connection');
    await pool.transaction(() => t.is(mode(), 'write'));
    t.is(mode(), 'connection');
    await pool.withConnection(() => t.is(mode(), 'write'), { write: true });
    t.is(mode(), 'connection');
    pool.db.exec('BEGIN IMMEDIATE');
    t.is(mode(), 'write');
    pool.db.exec('COMMIT');
    t.is(mode(), 'connection');
  });
  await pool.transaction(() => t.is(mode(), 'write'));
  await pool.read(() => t.is(mode(), 'read'));
});

test('a lease that holds the lane is shown as one that writes after a snapshot too', async (t) => {
  const { pool } = await twoPools(t);
  await pool.withConnection(
    async () => {
      await pool.read(() => {});
      t.like(pool.leases(), [{ mode: 'write' }]);
    },
    { write: true },
  );
});

test('write: undefined is as good as nothing', async (t) => {
  const { pool } = await twoPools(t);
  const none = { write: undefined };
  await pool.withConnection((db) => t.true(db.open), none);
  (await pool.acquire(none)).close();
  pool.tryAcquire(none)?.close();
  await pool.withScope(() => pool.connection(none));
  t.is(pool.stats().leased, 0);
});

test('a write scope inside a read is refused at once', async (t) => {
  const { pool, other } = await twoPools(t);
  const holder = await other.acquire({ write: true });
  await pool.read(() =>
    t.throwsAsync(
      pool.withConnection(() => t.fail(), { write: true }),
      { code: 'ERR_LEASEHOLD_READ_ONLY' },
    ),
  );
  holder.close();
});
