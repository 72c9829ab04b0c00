import test from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { WriteLockedError } from '../../lib/transaction-errors.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { temporaryPool } from '../support/sqlite.ts';

// A writer that waits for the transaction or write scope it is called in would wait for ever.

const table = 'CREATE TABLE IF NOT EXISTS item (name TEXT)';
const insert = 'INSERT INTO item VALUES (?)';
// Without a deadline, what is not refused at once hangs until ava gives up.
const patience = { timeout: Infinity };

/** What could only begin after the one around it has ended. */
const inner: Record<string, (pool: SqlitePool) => Promise<unknown>> = {
  'a separate transaction': (pool) => pool.transaction(() => 'in', { ...patience, nesting: 'separate' }),
  'a write scope of its own': (pool) => pool.withConnection(() => 'in', { ...patience, fresh: true, write: true }),
  'an acquire for writing': (pool) => pool.acquire({ ...patience, write: true }),
  'a transaction in a fresh scope': (pool) =>
    pool.withConnection(() => pool.transaction(() => 'in', patience), { fresh: true }),
  'a statement in a fresh scope': (pool) =>
    pool.withConnection(() => pool.run(insert, ['x'], patience), { fresh: true }),
  'a statement in a fresh scope without a connection': (pool) =>
    pool.withScope(() => pool.run(insert, ['x'], patience), { fresh: true }),
  'the connection of a fresh scope, for writing': (pool) =>
    pool.withScope(() => pool.connection({ ...patience, write: true }), { fresh: true }),
};

/** What holds the lane around it. */
const outer: Record<string, (pool: SqlitePool, fn: () => Promise<unknown>) => Promise<unknown>> = {
  'a transaction': (pool, fn) => pool.transaction(fn, { label: 'outer' }),
  'a transaction on a bound lease': (pool, fn) => pool.withConnection(() => pool.transaction(fn), { label: 'outer' }),
  'a nested transaction': (pool, fn) => pool.transaction(() => pool.transaction(fn), { label: 'outer' }),
  'an asynchronous transaction function': (pool, fn) =>
    pool.withConnection((db) => db.transaction(async () => fn())(), { label: 'outer' }),
  'a write scope': (pool, fn) => pool.withConnection(fn, { label: 'outer', write: true }),
  'a write scope within a scope': (pool, fn) =>
    pool.withConnection(() => pool.withConnection(fn, { write: true }), { label: 'outer' }),
  'a scope that has bound a connection for writing': (pool, fn) =>
    pool.withScope(
      async () => {
        await pool.connection({ write: true });
        return fn();
      },
      { label: 'outer' },
    ),
  'a transaction begun by SQL': (pool, fn) =>
    pool.withConnection(
      async (db) => {
        db.exec('BEGIN IMMEDIATE');
        try {
          return await fn();
        } finally {
          db.exec('ROLLBACK');
        }
      },
      { label: 'outer' },
    ),
};

for (const [around, hold] of Object.entries(outer)) {
  for (const [within, call] of Object.entries(inner)) {
    test(`${within} inside ${around} is refused at once`, async (t) => {
      const pool = temporaryPool(t);
      await pool.run(table);
      await hold(pool, async () => {
        const calling = call(pool).then(
          () => 'let in',
          (error: unknown) => error,
        );
        const error = await Promise.race([calling, settled().then(() => settled())]);
        t.true(error instanceof WriteLockedError, String(error));
        t.like(error, { holder: { label: 'outer' } });
        t.regex(String(error), /can never begin here/);
      });
      await settled();
      t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0 });
    });
  }
}

test('a writer of another pool on the same file is refused at once inside a transaction and a write scope', async (t) => {
  const file = temporaryFile(t);
  const [one, other] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
  await one.run(table);
  await other.run(table);
  for (const hold of [outer['a transaction'], outer['a write scope'], outer['a transaction on a bound lease']]) {
    await hold?.(one, async () => {
      const attempts = [
        other.transaction(() => 'in', patience),
        other.run(insert, ['x'], patience),
        other.withConnection(() => 'in', { ...patience, write: true }),
        other.withConnection(() => other.transaction(() => 'in', patience)),
        other.withConnection(() => other.run(insert, ['x'], patience)),
      ];
      for (const attempt of attempts) {
        await t.throwsAsync(attempt, { instanceOf: WriteLockedError, message: /can never begin here/ });
      }
      t.deepEqual(await other.all('SELECT * FROM item'), [], 'what reads is let through');
      t.deepEqual(await other.read((db) => db.prepare('SELECT * FROM item').all()), []);
    });
  }
});

test('such a refusal is none of those that waited', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  const events: unknown[] = [];
  pool.on('timeout', (event) => events.push(event));
  await pool.transaction(() =>
    t.throwsAsync(
      pool.transaction(() => t.fail(), { nesting: 'separate' }),
      { instanceOf: WriteLockedError },
    ),
  );
  t.like(pool.stats().counters, { timeouts: 0, refused: 0, aborted: 0 });
  t.deepEqual(events, []);
});

test('a transaction on another file may wait inside a transaction', async (t) => {
  const [one, other] = [temporaryPool(t), temporaryPool(t)];
  await one.run(table);
  await other.run(table);
  const holder = await other.acquire({ write: true });
  const nested = one.transaction(() => other.transaction((tx) => tx.prepare(insert).run('x').changes));
  await settled();
  holder.close();
  t.is(await nested, 1);
});

test('a writer beside a transaction of its scope, not inside it, waits for its end like any other', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  await pool.withConnection(async () => {
    for (const call of [inner['a separate transaction'], inner['a write scope of its own']]) {
      const done = gate();
      const transaction = pool.transaction(() => done.passed);
      await settled();
      const beside = call?.(pool).catch((error: Error) => error.name);
      await settled();
      t.is(pool.stats().laneWaiting, 1);
      done.open();
      await transaction;
      t.is(await beside, 'in');
    }
  });
});

test('what was started inside a transaction and begins after its end waits like any other', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  const ended = gate();
  let late: Promise<unknown> | undefined;
  await pool.transaction(() => {
    late = ended.passed.then(() => pool.transaction((tx) => tx.prepare(insert).run('late').changes));
  });
  const holder = await pool.acquire({ write: true });
  ended.open();
  await settled();
  t.is(pool.stats().laneWaiting, 1);
  holder.close();
  t.is(await late, 1);
});

test('a snapshot of its own can be taken inside a transaction, and sees what was committed before it', async (t) => {
  const pool = temporaryPool(t);
  await pool.run(table);
  await pool.transaction(async (tx) => {
    tx.prepare(insert).run('x');
    const rows = await pool.read((db) => db.prepare('SELECT * FROM item').all(), { nesting: 'separate' });
    t.deepEqual(rows, []);
  });
});
