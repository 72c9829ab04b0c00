import test, { type ExecutionContext } from 'ava';
import { type LeasedDatabase, ReleasedError, ScopeEndedError, type SqlitePoolOptions } from '../../lib/index.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { gate } from '../support/gate.ts';
import { type Place, placesOf } from '../support/places.ts';

const placesIn = placesOf(import.meta.filename);

/** A pool which captures stacks, and whose time stands still. */
function watched(t: ExecutionContext, options?: SqlitePoolOptions) {
  const clock = new FakeClock();
  const pool = new SqlitePool(temporaryFile(t), { name: 'app', leakThreshold: 60_000, ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  return { clock, pool };
}

async function taken(pool: SqlitePool): Promise<LeasedDatabase> {
  return pool.acquire({ label: 'job' });
}
async function takenToWrite(pool: SqlitePool): Promise<LeasedDatabase> {
  return pool.acquire({ write: true, label: 'job' });
}
function takenIfFree(pool: SqlitePool): Promise<LeasedDatabase> {
  return Promise.resolve(pool.tryAcquire({ label: 'job' }) as LeasedDatabase);
}

function closed(db: LeasedDatabase): void {
  db.close();
}
function disposed(db: LeasedDatabase): void {
  db[Symbol.dispose]();
}
async function disposedLater(db: LeasedDatabase): Promise<void> {
  await db[Symbol.asyncDispose]();
}

const advice =
  'its handle, statements and iterators can not be used any more. Take a new lease, or keep this one until the work is done.';

for (const [take, call] of [
  [taken, 'acquire'],
  [takenToWrite, 'acquire'],
  [takenIfFree, 'tryAcquire'],
] as const) {
  test(`a use after the release is told where the lease was ${take.name}, and when`, async (t) => {
    const { clock, pool } = watched(t);
    await pool.ready();
    await pool.run('CREATE TABLE item (name)');
    const db = await take(pool);
    const statement = db.prepare('SELECT 1');
    const { id = 0 } = pool.leases()[0] ?? {};
    await clock.pass(40);
    db.close();
    await clock.pass(2500);
    for (const use of [() => db.exec(''), () => statement.get(), () => db.prepare('SELECT 2')]) {
      const error = t.throws<ReleasedError>(use, { instanceOf: ReleasedError });
      t.like(error, { pool: 'app', lease: id, label: 'job', end: 'released', held: 40, endedFor: 2500 });
      const [sentence, acquired, ...more] = error.message.split('\n');
      t.is(sentence, `Lease #${id} "job" of "app" was released 2.5 s ago, after 40 ms; ${advice}`);
      t.true(acquired?.startsWith('  It was acquired at '));
      t.deepEqual(placesIn(acquired ?? '')[0], { by: take.name, call });
      t.regex(error.acquireStack ?? '', new RegExp(`^Error\\n\\s+at ${take.name} `));
      t.is(error.releaseStack, undefined, 'which would cost too much to know of every lease');
      t.deepEqual(more, []);
    }
  });
}

for (const [end, place] of [
  [closed, { by: 'closed', call: 'close' }],
  [disposed, { by: 'disposed', call: '' }],
  [disposedLater, { by: 'disposedLater', call: '' }],
] as const satisfies readonly (readonly [unknown, Place])[]) {
  test(`a use of a lease that was held too long is told where it was ${end.name}`, async (t) => {
    const { clock, pool } = watched(t, { leakThreshold: 500 });
    const db = await taken(pool);
    await clock.pass(1500);
    await end(db);
    const error = t.throws<ReleasedError>(() => db.exec(''), { instanceOf: ReleasedError });
    const ended = error.message.split('\n')[2] ?? '';
    t.true(ended.startsWith('  It was ended at '));
    t.deepEqual(placesIn(ended)[0], place, error.message);
  });
}

test('a lease that was taken away says so, and whose call it was', async (t) => {
  const { clock, pool } = watched(t);
  const db = await taken(pool);
  await clock.pass(1000);
  function sweep() {
    return pool.closeOverdue(500);
  }
  t.is(sweep(), 1);
  const error = t.throws<ReleasedError>(() => db.exec(''), { instanceOf: ReleasedError });
  t.like(error, { end: 'overdue', held: 1000, endedFor: 0 });
  t.true(error.message.startsWith('Lease #1 "job" of "app" was taken away by closeOverdue() 0 ms ago, after 1.0 s; '));
  t.deepEqual(placesIn(error.message)[0], { by: 'taken', call: 'acquire' });
  t.regex(error.releaseStack ?? '', /\n\s+at sweep /);
});

/** A scope that gives its handle away, by each way to have one. */
const scopes: Record<string, { open: (pool: SqlitePool) => Promise<LeasedDatabase>; place: Place }> = {
  withConnection: {
    open: async function request(pool) {
      return pool.withConnection((db) => db, { label: 'GET /a' });
    },
    place: { by: 'request', call: 'withConnection' },
  },
  'withConnection to write': {
    open: async function request(pool) {
      return pool.withConnection((db) => db, { label: 'GET /a', write: true });
    },
    place: { by: 'request', call: 'withConnection' },
  },
  connection: {
    open: async (pool) =>
      pool.withScope(
        async function handler() {
          return pool.connection();
        },
        { label: 'GET /a' },
      ),
    place: { by: 'handler', call: 'connection' },
  },
};

for (const [name, { open, place }] of Object.entries(scopes)) {
  test(`work that outlives its scope is told where the connection was taken: ${name}`, async (t) => {
    const { clock, pool } = watched(t);
    await pool.ready();
    await pool.run('CREATE TABLE item (name)');
    const db = await open(pool);
    await clock.pass(1200);
    const error = t.throws<ScopeEndedError>(() => db.exec(''), { instanceOf: ScopeEndedError });
    t.like(error, { pool: 'app', label: 'GET /a', endedFor: 1200 });
    const [sentence, site] = error.message.split('\n');
    t.is(
      sentence,
      `Scope #${error.scope} "GET /a" of "app" ended 1.2 s ago, and gave back what it held. ` +
        'Await all work inside the scope, or give work that outlives it a withConnection() of its own.',
    );
    t.true(site?.startsWith('  Its connection was acquired at '));
    t.deepEqual(placesIn(site ?? '')[0], place);
    t.regex(error.acquireStack ?? '', new RegExp(`^Error\\n\\s+at ${place.by} `));
  });
}

test('work that outlives its scope and uses pool.db or pool.connection() is told the same', async (t) => {
  const { clock, pool } = watched(t);
  const over = gate();
  async function request() {
    await pool.withConnection(
      () => {
        late = over.passed.then(async () => [
          t.throws<ScopeEndedError>(() => pool.db.exec(''), { instanceOf: ScopeEndedError }),
          await t.throwsAsync<ScopeEndedError>(pool.connection(), { instanceOf: ScopeEndedError }),
        ]);
      },
      { label: 'GET /a' },
    );
  }
  let late: Promise<ScopeEndedError[]> = Promise.resolve([]);
  await request();
  await clock.pass(1200);
  over.open();
  const errors = await late;
  t.is(errors.length, 2);
  for (const error of errors) {
    t.like(error, { pool: 'app', label: 'GET /a', endedFor: 1200 });
    t.deepEqual(placesIn(error.message)[0], { by: 'request', call: 'withConnection' });
  }
});

test('a scope that never had a connection names no place', async (t) => {
  const { pool } = watched(t);
  const over = gate();
  let late: Promise<ScopeEndedError> | undefined;
  await pool.withScope(() => {
    late = over.passed.then(() => t.throwsAsync<ScopeEndedError>(pool.connection(), { instanceOf: ScopeEndedError }));
  });
  over.open();
  const error = await late;
  t.is(error?.acquireStack, undefined);
  t.false(error?.message.includes('\n'));
});

test('without stacks, messages of ended leases and scopes are one line', async (t) => {
  const { pool } = watched(t, { leakThreshold: Infinity });
  const db = await taken(pool);
  db.close();
  const released = t.throws<ReleasedError>(() => db.exec(''), { instanceOf: ReleasedError });
  t.is(released.message, `Lease #1 "job" of "app" was released 0 ms ago, after 0 ms; ${advice}`);
  t.like(released, { acquireStack: undefined, releaseStack: undefined });
  const stale = await pool.withConnection((own) => own);
  const ended = t.throws<ScopeEndedError>(() => stale.exec(''), { instanceOf: ScopeEndedError });
  t.false(ended.message.includes('\n'));
  t.is(ended.acquireStack, undefined);
});

test('what was queued in a scope that ends is told that it ended just now', async (t) => {
  const { pool } = watched(t, { max: 1 });
  const held = await taken(pool);
  let queued: Promise<unknown> = Promise.resolve();
  await pool.withScope(() => {
    queued = pool.acquire();
    queued.catch(() => {});
  });
  const error = await t.throwsAsync<ScopeEndedError>(queued, { instanceOf: ScopeEndedError });
  t.true(error.endedFor < 1, `${error.endedFor}`);
  held.close();
});
