import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import test from 'ava';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { postgresUrl } from '../support/postgres.ts';
import { clientOn, firstOf, leavings, poolOn, running } from '../support/postgres-handle.ts';
import { proxyTo } from '../support/postgres-proxy.ts';

const url = await postgresUrl();

function* lines(count: number, each = (n: number): void => void n): Generator<string> {
  for (let n = 1; n <= count; n++) {
    each(n);
    yield `${n}\tline ${n}\n`;
  }
}

function write(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

const count = (table: string): string => `SELECT count(*)::int FROM ${table}`;

test('much data goes in and comes out as it is, and the connection goes on', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  const expected = createHash('sha256');
  for (const line of lines(50_000)) expected.update(line);
  await pool.withConnection(async (db) => {
    await db.query('CREATE TABLE big (id int, text text)');
    const into = db.query(copyFrom('COPY big FROM STDIN'));
    await pipeline(Readable.from(lines(50_000)), into);
    t.is(into.rowCount, 50_000);
    const out = db.query(copyTo('COPY (SELECT * FROM big ORDER BY id) TO STDOUT'));
    const found = createHash('sha256');
    for await (const chunk of out) found.update(chunk as Buffer);
    t.is(found.digest('hex'), expected.digest('hex'));
    t.is(out.rowCount, 50_000);
    t.is(await firstOf(db, count('big')), 50_000);
  });
  t.deepEqual(said, []);
  t.like(pool.stats(), { size: 1, idle: 1 });
});

test('a slow reader holds the server back, rather than have all of it in memory', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    const out = db.query(copyTo(`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 30000)) TO STDOUT`));
    await once(out, 'readable');
    let most = 0;
    let total = 0;
    for await (const chunk of out) {
      total += (chunk as Buffer).length;
      most = Math.max(most, out.readableLength);
      await new Promise(setImmediate);
    }
    t.is(total, 30_000 * 1001);
    t.true(most < 4_000_000, `${most}`);
  });
});

test('a slow server holds the writer back', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  await pool.query('CREATE TABLE held (id int, text text)');
  await client.query('BEGIN; LOCK held');
  await pool.withConnection(async (db) => {
    const into = db.query(copyFrom('COPY held FROM STDIN'));
    // A transaction goes on seeing the activity that it saw first.
    await running(await clientOn(t, url), 'COPY held');
    let sent = 0;
    const copying = pipeline(Readable.from(lines(20_000, () => sent++)), into);
    await new Promise(setImmediate);
    t.true(sent < 20_000);
    await client.query('COMMIT');
    await copying;
    t.is(await firstOf(db, count('held')), 20_000);
  });
});

test('a source that fails in the middle undoes the copy, and the connection goes on', async (t) => {
  const pool = poolOn(t, url);
  const said = leavings(pool);
  await pool.withConnection(async (db) => {
    await db.query('CREATE TABLE undone (id int, text text)');
    const failing = lines(3000, (n) => {
      if (n === 2000) throw new Error('no more');
    });
    const copying = pipeline(Readable.from(failing), db.query(copyFrom('COPY undone FROM STDIN')));
    await t.throwsAsync(copying, { message: 'no more' });
    t.is(await firstOf(db, count('undone')), 0);
    const wrong = pipeline(Readable.from(['nonsense\n']), db.query(copyFrom('COPY undone FROM STDIN')));
    await t.throwsAsync(wrong, { code: '22P02' });
    t.is(await firstOf(db, count('undone')), 0);
    await t.throwsAsync(pipeline(Readable.from(lines(1)), db.query(copyFrom('COPY nowhere FROM STDIN'))), {
      code: '42P01',
    });
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
  t.deepEqual(said, []);
});

test('a copy out that fails tells its reader, and the connection goes on', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    for (const [query, code] of [
      ['SELECT nonsense', '42703'],
      ['SELECT 1 / (50000 - n) FROM generate_series(1, 60000) AS n', '22012'],
    ]) {
      const out = db.query(copyTo(`COPY (${query}) TO STDOUT`));
      await t.throwsAsync(out.resume().toArray(), { code: code as string });
      t.is(await firstOf(db, 'SELECT 1'), 1);
    }
  });
});

test('a copy out that fails is over when its reader is told, however long the server takes to come to rest', async (t) => {
  const target = new URL(url);
  const proxy = await proxyTo(t, Number(target.port));
  target.port = `${proxy.port}`;
  await poolOn(t, target.href).withConnection(async (db) => {
    const failing = copyTo('COPY (SELECT 1 / (50000 - n) FROM generate_series(1, 60000) AS n) TO STDOUT');
    await firstOf(db, 'SELECT 1');
    proxy.freezeAfter('E');
    const destroyed = db.query(failing);
    await t.throwsAsync(destroyed.resume().toArray(), { code: '22012' });
    t.true(destroyed.closed);
    const next = firstOf(db, 'SELECT 2');
    proxy.thaw();
    t.is(await next, 2);

    proxy.freezeAfter('E');
    const told = db.query(copyTo('COPY (SELECT nonsense) TO STDOUT'));
    const [error] = (await once(told.resume(), 'error')) as [Error];
    t.like(error, { code: '42703' });
    t.false(told.destroyed);
    const last = firstOf(db, 'SELECT 3');
    proxy.thaw();
    t.is(await last, 3);
  });
});

test('a copy out that is destroyed half-way stands in nobody’s way', async (t) => {
  const pool = poolOn(t, url);
  await pool.withConnection(async (db) => {
    const out = db.query(copyTo(`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1e6)) TO STDOUT`));
    for await (const _ of out) break;
    // It answers, or says that it is lost: the rest of the copy is of no use to anybody.
    await firstOf(db, 'SELECT 1').catch((error: Error) => t.like(error, { code: 'ERR_LEASEHOLD_CONNECTION_LOST' }));
  });
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('while a copy is read or written, a query that both would wait for is refused', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    await db.query('CREATE TABLE nested (id int, text text)');
    const busy = { code: 'ERR_LEASEHOLD_CONNECTION_BUSY' };
    const out = db.query(copyTo(`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000)) TO STDOUT`));
    let refusals = 0;
    for await (const _ of out) {
      if (refusals++ === 0) await t.throwsAsync(async () => db.query('SELECT 1'), busy);
    }
    t.true(refusals > 0);
    t.is(await firstOf(db, 'SELECT 1'), 1);
  });
});

test('while a copy waits for its writer, a query is refused; once all is written it takes its turn', async (t) => {
  await poolOn(t, url).withConnection(async (db) => {
    await db.query('CREATE TABLE writing (id int, text text)');
    const into = db.query(copyFrom('COPY writing FROM STDIN'));
    await write(into, '1\ta\n');
    await t.throwsAsync(
      Promise.race([db.query('SELECT 1'), once(AbortSignal.timeout(300), 'abort').then(() => ({ rows: [] }))]),
      { code: 'ERR_LEASEHOLD_CONNECTION_BUSY' },
    );
    into.end('2\tb\n');
    t.is(await firstOf(db, count('writing')), 2);
  });
});

test('in a transaction that is rolled back nothing is copied, in one that commits all is', async (t) => {
  const pool = poolOn(t, url);
  await pool.query('CREATE TABLE booked (id int, text text)');
  const copyAll = (db: typeof pool.db, amount: number) =>
    pipeline(Readable.from(lines(amount)), db.query(copyFrom('COPY booked FROM STDIN')));
  await t.throwsAsync(
    pool.transaction(async () => {
      await copyAll(pool.db, 1000);
      t.is(await firstOf(pool, count('booked')), 1000);
      throw new Error('undo');
    }),
    { message: 'undo' },
  );
  t.is(await firstOf(pool, count('booked')), 0);
  await pool.transaction(async () => {
    await copyAll(pool.db, 10);
    await t.throwsAsync(
      pool.transaction(async () => {
        await copyAll(pool.db, 5);
        throw new Error('part');
      }),
    );
  });
  t.is(await firstOf(pool, count('booked')), 10);
});

test('a transaction whose function leaves a copy unfinished is undone, and does not wait for it', async (t) => {
  const pool = poolOn(t, url, { cancelTimeout: 2000 });
  await pool.query('CREATE TABLE forgotten (id int, text text)');
  let into: Writable | undefined;
  const leaving = pool.transaction(async (tx) => {
    into = tx.query(copyFrom('COPY forgotten FROM STDIN'));
    into.on('error', () => {});
    await write(into, '1\ta\n');
  });
  const late = once(AbortSignal.timeout(20_000), 'abort');
  await t.throwsAsync(Promise.race([leaving, late]), { code: 'ERR_LEASEHOLD_TRANSACTION_BUSY' });
  t.is(await firstOf(pool, count('forgotten')), 0);
});

test('a copy in that is under way when the lease ends is undone, and its writer is told', async (t) => {
  const pool = poolOn(t, url, { cancelTimeout: 2000 });
  await pool.query('CREATE TABLE cut (id int, text text)');
  const db = await pool.acquire();
  const into = db.query(copyFrom('COPY cut FROM STDIN'));
  const told = once(into, 'error');
  await write(into, '1\ta\n');
  await db[Symbol.asyncDispose]();
  await told;
  t.is(await firstOf(pool, count('cut')), 0);
});

test('a copy out that is read half-way when the lease ends ends its reader’s loop with an error', async (t) => {
  const pool = poolOn(t, url, { cancelTimeout: 2000 });
  const db = await pool.acquire();
  const out = db.query(copyTo(`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1e6)) TO STDOUT`));
  await t.throwsAsync(async () => {
    for await (const _ of out) await db[Symbol.asyncDispose]();
  });
  t.is(await firstOf(pool, 'SELECT 1'), 1);
});

test('a copy that is queued when the lease ends is told so, and ends what is piped into it', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url)];
  const db = await pool.acquire();
  const before = t.throwsAsync(db.query('SELECT pg_sleep(600) /* queued copy */'));
  await running(client, 'SELECT pg_sleep(600) /* queued copy */');
  const released = { code: 'ERR_LEASEHOLD_RELEASED' };
  const into = t.throwsAsync(
    pipeline(Readable.from(lines(10)), db.query(copyFrom('COPY nowhere FROM STDIN'))),
    released,
  );
  await new Promise(setImmediate);
  await db[Symbol.asyncDispose]();
  await Promise.all([before, into]);
  t.throws(() => db.query(copyFrom('COPY nowhere FROM STDIN')), released);
});

test('a copy that is written to its end and waits for a lock is ended with its lease', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url, { cancelTimeout: 2000 })];
  await client.query('CREATE TABLE locked (id int, text text)');
  await client.query('BEGIN; LOCK locked');
  const db = await pool.acquire();
  const into = db.query(copyFrom('COPY locked FROM STDIN'));
  const told = once(into, 'error');
  into.end('1\ta\n');
  await running(await clientOn(t, url), 'COPY locked');
  const late = once(AbortSignal.timeout(20_000), 'abort');
  const back = db[Symbol.asyncDispose]().then(() => 'back');
  const first = await Promise.race([back, late]);
  await client.query('COMMIT');
  t.is(first, 'back');
  await told;
  t.is(await firstOf(pool, count('locked')), 0);
});

test('a copy that is written to its end and waits for a lock is ended with its transaction', async (t) => {
  const [client, pool] = [await clientOn(t, url), poolOn(t, url, { cancelTimeout: 2000 })];
  await client.query('CREATE TABLE barred (id int, text text)');
  await client.query('BEGIN; LOCK barred');
  const undone = pool.transaction(async (tx) => {
    const into = tx.query(copyFrom('COPY barred FROM STDIN'));
    into.on('error', () => {});
    into.end('1\ta\n');
    await running(await clientOn(t, url), 'COPY barred');
    throw new Error('undo');
  });
  const late = once(AbortSignal.timeout(20_000), 'abort');
  const first = await Promise.race([undone.catch(({ message }: Error) => message), late]);
  await client.query('COMMIT');
  t.is(first, 'undo');
  t.is(await firstOf(pool, count('barred')), 0);
});
