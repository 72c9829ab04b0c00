import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { createPool, type SqlitePool } from '../../lib/index.ts';
import { temporaryFile } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { Enough, refusal } from '../support/items.ts';
import type { Framework } from './frameworks-b.ts';
import { eventually, insertHere, isIdle } from './support-b.ts';

const post = { method: 'POST' } as const;

/** A pool, and a connection of somebody else's to the same file. */
async function openShared(t: ExecutionContext) {
  const file = temporaryFile(t);
  const pool = createPool(file, { acquireTimeout: 30_000 });
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.transaction((tx) => {
    tx.exec('CREATE TABLE item (name TEXT)');
    tx.exec('CREATE TABLE part (whole INTEGER REFERENCES whole (id) DEFERRABLE INITIALLY DEFERRED)');
    tx.exec('CREATE TABLE whole (id INTEGER PRIMARY KEY)');
  });
  const other = new Database(file, { readonly: true });
  t.teardown(() => void other.close());
  return { pool, file, names: () => other.prepare('SELECT name FROM item ORDER BY rowid').pluck().all() };
}

/** What must hold of handlers in a transaction, whatever the framework. */
export function transactionalSuite(framework: Framework): void {
  const { name } = framework;
  const serve = (t: ExecutionContext, pool: SqlitePool, handler: () => unknown, transactional = {}) =>
    framework.serve(t, pool, { transactional }, async () => ((await handler()) ?? 'done') as string);

  test(`${name}: what a handler has written is committed when its client hears of it, and not before it is done`, async (t) => {
    const { pool, names } = await openShared(t);
    const [written, answer] = [gate(), gate()];
    const site = await serve(t, pool, async () => {
      insertHere(pool, 'one');
      t.true(pool.db.inTransaction);
      written.open();
      await answer.passed;
      insertHere(pool, 'two');
    });
    const coming = fetch(site.url, post);
    await written.passed;
    t.deepEqual(names(), []);
    answer.open();
    t.is((await coming).status, 200);
    t.deepEqual(names(), ['one', 'two']);
    await isIdle(t, pool);
  });

  test(`${name}: a commit that fails is answered as an error, and nothing is kept`, async (t) => {
    const { pool, names } = await openShared(t);
    const site = await serve(t, pool, () => {
      insertHere(pool, 'lost');
      pool.db.exec('INSERT INTO part VALUES (404)');
    });
    const answer = await fetch(site.url, post);
    t.is(answer.status, 500);
    t.deepEqual(names(), []);
    t.like(site.errors[0], { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
    await isIdle(t, pool);
  });

  test(`${name}: what a handler that throws has written is undone, and its error is the framework's`, async (t) => {
    const { pool, names } = await openShared(t);
    const error = new Enough('wrong');
    const site = await serve(t, pool, () => {
      insertHere(pool, 'undone');
      throw error;
    });
    t.is((await fetch(site.url, post)).status, 500);
    t.deepEqual(site.errors, [error]);
    t.deepEqual(names(), []);
    await isIdle(t, pool);
  });

  test(`${name}: a status rolls back only where that is asked for, from the one that is asked for`, async (t) => {
    for (const [rollbackFrom, status, kept] of [
      [undefined, 500, true],
      [400, 399, true],
      [400, 400, false],
      [500, 499, true],
      [500, 503, false],
    ] as const) {
      const { pool, names } = await openShared(t);
      const handler = () => {
        insertHere(pool, 'written');
        return { status };
      };
      const site = await serve(t, pool, handler, { rollbackFrom });
      t.is((await fetch(site.url, post)).status, status);
      t.deepEqual(names(), kept ? ['written'] : [], `${status} where ${rollbackFrom} is asked for`);
      t.deepEqual(site.errors, []);
      await isIdle(t, pool);
    }
  });

  test(`${name}: two handlers that write have their turns, and neither sees the other half done`, async (t) => {
    const { pool } = await openShared(t);
    const first = gate();
    const seen: unknown[] = [];
    const site = await serve(t, pool, async () => {
      seen.push(pool.db.prepare('SELECT count(*) FROM item').pluck().get());
      insertHere(pool, 'one');
      if (seen.length === 1) await first.passed;
      insertHere(pool, 'two');
    });
    const answers = [fetch(site.url, post), fetch(site.url, post)];
    await eventually(() => pool.stats().laneWaiting === 1);
    t.deepEqual(seen, [0]);
    first.open();
    for (const answer of answers) t.is((await answer).status, 200);
    t.deepEqual(seen, [0, 2]);
    await isIdle(t, pool);
  });

  test(`${name}: a transaction within is part of it, and what is undone of that is undone alone`, async (t) => {
    const { pool, names } = await openShared(t);
    const site = await serve(t, pool, async () => {
      insertHere(pool, 'outer');
      await t.throwsAsync(
        pool.transaction(() => {
          insertHere(pool, 'inner');
          throw new Enough();
        }),
        { instanceOf: Enough },
      );
      await pool.transaction(() => insertHere(pool, 'second'));
      t.deepEqual(names(), []);
    });
    t.is((await fetch(site.url, post)).status, 200);
    t.deepEqual(names(), ['outer', 'second']);
    await isIdle(t, pool);
  });

  test(`${name}: a transaction that does not get its turn in time is answered as an error, without the handler`, async (t) => {
    const { pool } = await openShared(t);
    const site = await serve(t, pool, () => t.fail(), { timeout: 20 });
    const over = gate();
    const writing = pool.transaction(() => over.passed);
    t.is((await fetch(site.url, post)).status, 500);
    t.like(site.errors[0], refusal('WRITE_TIMEOUT'));
    over.open();
    await writing;
    await isIdle(t, pool);
  });

  test(`${name}: a handler that asks for nothing else has no second connection for its transaction`, async (t) => {
    const { pool } = await openShared(t);
    const { acquired } = pool.stats().counters;
    const site = await serve(t, pool, async () => {
      insertHere(pool, 'one');
      await pool.run("INSERT INTO item VALUES ('two')");
      await pool.get('SELECT * FROM item');
      t.is(pool.stats().leased, 1);
    });
    t.is((await fetch(site.url, post)).status, 200);
    await isIdle(t, pool);
    t.is(pool.stats().counters.acquired, acquired + 1);
  });

  test(`${name}: an eager scope has its transaction on the connection that it has`, async (t) => {
    const { pool, names } = await openShared(t);
    const handler = async () => {
      insertHere(pool, 'kept');
      t.is(pool.stats().leased, 1);
      return 'done';
    };
    const site = await framework.serve(t, pool, { eager: true, transactional: {} }, handler);
    t.is((await fetch(site.url, post)).status, 200);
    t.deepEqual(names(), ['kept']);
    await isIdle(t, pool);
  });

  test(`${name}: a mode and a label are the transaction's`, async (t) => {
    const { pool, file } = await openShared(t);
    const other = new Database(file, { timeout: 0 });
    t.teardown(() => void other.close());
    const begin = () => other.exec('BEGIN IMMEDIATE; ROLLBACK');
    for (const mode of ['immediate', 'deferred'] as const) {
      const handler = () => {
        t.like(pool.leases()[0], { label: 'my orders', inTransaction: true });
        if (mode === 'immediate') t.throws(begin, { code: 'SQLITE_BUSY' });
        else t.notThrows(begin);
      };
      const site = await serve(t, pool, handler, { mode, label: 'my orders' });
      t.is((await fetch(site.url, post)).status, 200);
    }
    await isIdle(t, pool);
  });
}
