import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { poolEventNames } from '../../lib/events.ts';
import { type AcquireTimeoutError, OpenError, type SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import type { WriteTimeoutError } from '../../lib/transaction-errors.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { type Place, placesOf } from '../support/places.ts';
import { rawDatabase } from '../support/sqlite.ts';

const placesIn = placesOf(import.meta.filename);
const secret = 'swordfish';
const insert = 'INSERT INTO item VALUES (?)';

async function watched(t: ExecutionContext, options?: SqlitePoolOptions) {
  const clock = new FakeClock();
  const file = temporaryFile(t);
  const pool = new SqlitePool(file, { name: 'app', max: 1, leakThreshold: 500, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.withConnection((db) => db.exec('CREATE TABLE item (name UNIQUE)'));
  return { clock, pool, file };
}

/** What a call failed with. */
function failure<Failure extends Error>(call: Promise<unknown>): Promise<Failure> {
  return call.then(
    () => new Error('It was granted') as Failure,
    (error: unknown) => error as Failure,
  );
}

test('no value that was bound to a statement shows in any error, event, report or gauge', async (t) => {
  const { clock, pool } = await watched(t, { maxWaiting: 1, onDeadlock: 'reject' });
  const said: unknown[] = [];
  const names = new Set<string>();
  for (const name of poolEventNames) {
    pool.on(name, (event: unknown) => {
      names.add(name);
      said.push(event);
    });
  }
  const done = gate();
  const holding = pool.withConnection(
    async (db) => {
      db.exec('BEGIN');
      db.prepare('SELECT ? AS x').get(secret);
      db.prepare('SELECT * FROM item WHERE name = ?').bind(secret).iterate().next();
      db.prepare(insert).run(secret);
      // Rings with itself.
      said.push(await failure(pool.acquire({ priority: 1 })));
      await done.passed;
    },
    { label: 'holder' },
  );
  await settled();
  const waiting = [
    pool.get('SELECT ?', [secret], { timeout: 900 }),
    pool.all('SELECT ?', [secret]),
    pool.run(insert, [secret], { timeout: 900 }),
    pool.run(insert, [secret]),
  ].map((call) => failure(call));
  await clock.pass(1000);
  t.throws(() => pool.assertIdle());
  said.push(
    t.throws(() => pool.assertIdle()),
    pool.leases(),
    pool.stats(),
    pool.stats({ by: 'label' }),
    pool,
  );
  done.open();
  await holding;
  said.push(...(await Promise.all(waiting)));
  await pool.run(insert, [secret]);
  said.push(await failure(pool.run(insert, [secret])));
  const stale = await pool.withConnection((db) => db.prepare(insert).bind(secret), { label: 'stale' });
  said.push(t.throws(() => stale.run()));
  await pool.close();
  for (const name of ['wait', 'dirty', 'leak', 'timeout', 'deadlock', 'acquire', 'release', 'close']) {
    t.true(names.has(name), name);
  }
  const codes = new Set(said.flatMap((thing) => (thing instanceof Error && 'code' in thing ? [thing.code] : [])));
  for (const code of ['ACQUIRE_TIMEOUT', 'QUEUE_FULL', 'WRITE_TIMEOUT', 'DEADLOCK', 'NOT_IDLE', 'SCOPE_ENDED']) {
    t.true(codes.has(`ERR_LEASEHOLD_${code}`), code);
  }
  const text = said.map((thing) => `${inspect(thing, { depth: Infinity, showHidden: true })} ${JSON.stringify(thing)}`);
  t.deepEqual(
    text.filter((words) => words.includes(secret)),
    [],
  );
});

test('a label from outside can neither break out of its line nor reorder it, in any message', async (t) => {
  const { clock, pool } = await watched(t, { maxWaiting: 1 });
  const evil = 'GET /a\n  #9  admin\u2028\u202e\u001b[2Jx\r';
  const shown = 'GET /a\\u000a  #9  admin\\u2028\\u202e\\u001b[2Jx\\u000d';
  const messages: string[] = [];
  for (const name of ['dirty', 'leak'] as const) pool.on(name, ({ message }) => messages.push(message));
  const done = gate();
  const holding = pool.withConnection(
    async (db) => {
      db.exec('BEGIN IMMEDIATE');
      await done.passed;
      return db;
    },
    { label: evil },
  );
  await settled();
  const late = [
    failure(pool.acquire({ label: evil, timeout: 900 })),
    failure(pool.run(insert, ['x'], { label: evil, timeout: 900 })),
  ];
  await settled();
  const full = [failure(pool.acquire({ label: evil })), failure(pool.transaction(() => {}))];
  await clock.pass(1000);
  messages.push(t.throws(() => pool.assertIdle()).message);
  done.open();
  const db = await holding;
  messages.push(t.throws(() => db.exec('')).message);
  for (const error of await Promise.all([...late, ...full])) messages.push(error.message);
  t.is(messages.length, 9, 'overdue, returned, dirty, and each error');
  for (const message of messages) {
    t.notRegex(message, /[^\n\P{Cc}]|[\u2028-\u202e]/u);
    t.true(message.includes(shown), message);
    t.notRegex(message, /\n {2}#9/);
  }
});

test('a timeout has the failure to open as its cause', async (t) => {
  const { clock, pool, file } = await watched(t, { pragmas: { journal_mode: 'delete' } });
  pool.closeIdle();
  const other = rawDatabase(t, file);
  other.exec('BEGIN EXCLUSIVE');
  const late = failure<AcquireTimeoutError>(pool.acquire({ timeout: 900 }));
  await clock.pass(900);
  const error = await late;
  t.like(error, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', leased: 0, position: 1, suspectedDeadlock: false });
  t.like(error.cause, { code: 'SQLITE_BUSY', message: 'database is locked' });
  t.is(
    error.message,
    'Timed out after 900 ms waiting for a connection of "app" (0 of 1 in use, 1 waiting, this one as number 1).' +
      '\n  The last attempt to get a connection ready failed: database is locked (SQLITE_BUSY)' +
      '\n  What to do: not all connections are in use, so find out what keeps the others from being opened or handed on: ' +
      'the database, or a hook.',
  );
  other.exec('ROLLBACK');
  await clock.pass(1000);
  await using db = await pool.acquire();
  const next = failure<AcquireTimeoutError>(pool.acquire({ timeout: 10 }));
  await clock.pass(10);
  t.false('cause' in (await next), 'which is forgotten once one has been opened');
  t.true(db.open);
});

test('a write that another process kept out has SQLite’s error as its cause, and names nobody here', async (t) => {
  const { clock, pool, file } = await watched(t);
  const other = rawDatabase(t, file);
  other.exec('BEGIN IMMEDIATE');
  const late = failure<WriteTimeoutError>(pool.transaction(() => {}, { timeout: 900, label: 'job' }));
  await clock.pass(900);
  const error = await late;
  t.like(error, { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT', label: 'job', position: undefined, holder: undefined });
  t.like(error.cause, { code: 'SQLITE_BUSY', message: 'database is locked' });
  t.is(
    error.message,
    'Timed out after 900 ms waiting for a lock on "app" for "job" (0 waiting).' +
      '\n  The lock is held outside of this pool, by another process most likely: database is locked (SQLITE_BUSY)' +
      '\n  What to do: find who else has the file open, and have it commit sooner; or wait longer.',
  );
});

test('who tries for another process’s lock holds the lane by the line that wrote', async (t) => {
  const { clock, pool, file } = await watched(t);
  const other = rawDatabase(t, file);
  other.exec('BEGIN IMMEDIATE');
  async function writer() {
    await pool.run(insert, ['x']);
  }
  const writing = writer();
  await settled();
  const late = failure<WriteTimeoutError>(pool.transaction(() => {}, { timeout: 10 }));
  await clock.pass(10);
  const error = await late;
  t.like(error.holder, { kind: 'statement' });
  t.deepEqual(placesIn(error.message)[0], { by: 'writer', call: 'run' }, error.message);
  other.exec('ROLLBACK');
  await clock.pass(100);
  await writing;
});

test('who tries for another process’s lock holds its connection by the line that read', async (t) => {
  const { clock, pool, file } = await watched(t, { pragmas: { journal_mode: 'delete' } });
  const other = rawDatabase(t, file);
  other.exec('BEGIN EXCLUSIVE');
  async function reader() {
    await pool.get('SELECT * FROM item');
  }
  const reading = reader();
  await settled();
  const late = failure<AcquireTimeoutError>(pool.acquire({ timeout: 10 }));
  await clock.pass(10);
  const { message } = await late;
  other.exec('ROLLBACK');
  await clock.pass(100);
  await reading;
  t.deepEqual(placesIn(message)[0], { by: 'reader', call: 'get' }, message);
});

/** Calls in a scope whose connection another call is about to bind, and fails to. */
const afterFailure: Record<string, { take: (pool: SqlitePool, until: Promise<void>) => Promise<void>; place: Place }> =
  {
    withConnection: {
      take: async function second(pool, until) {
        await pool.withConnection(() => until);
      },
      place: { by: 'second', call: 'withConnection' },
    },
    connection: {
      take: async function second(pool, until) {
        await pool.connection();
        await until;
      },
      place: { by: 'second', call: 'connection' },
    },
  };

for (const [name, { take, place }] of Object.entries(afterFailure)) {
  test(`a ${name} that waited for another call’s connection in vain is known by its line`, async (t) => {
    const { clock, pool } = await watched(t);
    const other = await pool.acquire();
    const done = gate();
    const scope = pool.withScope(async () => {
      const first = failure(pool.connection({ timeout: 10 }));
      await Promise.all([first, take(pool, done.passed)]);
    });
    await clock.pass(10);
    other.close();
    await settled();
    const { message } = t.throws(() => pool.assertIdle());
    done.open();
    await scope;
    t.deepEqual(placesIn(message)[0], place, message);
  });
}

test('a file that can not be opened is no timeout, and has the cause as well', async (t) => {
  const clock = new FakeClock();
  const pool = new SqlitePool('/nowhere/at/all/app.db', { leakThreshold: 500 }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  const error = await t.throwsAsync<OpenError>(pool.acquire(), { instanceOf: OpenError });
  t.true(error.cause instanceof Error);
  t.true(error.message.startsWith('Pool "app" cannot open "/nowhere/at/all/app.db": '));
});
