import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { settled } from '../support/gate.ts';
import { namesIn } from '../support/items.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

async function open(t: ExecutionContext, options?: SqlitePoolOptions): Promise<SqlitePool> {
  const pool = temporaryPool(t, options);
  await pool.run('CREATE TABLE item (name TEXT UNIQUE)');
  return pool;
}

const insert = (db: LeasedDatabase, name: string) => db.prepare('INSERT INTO item VALUES (?)').run(name);

/** With and without a connection bound to the scope around: the one runs on that, the other on the lane's own. */
const settings = {
  bound: <Result>(pool: SqlitePool, fn: () => Promise<Result>) => pool.withConnection(() => fn()),
  'in an unbound scope': <Result>(pool: SqlitePool, fn: () => Promise<Result>) => pool.withScope(() => fn()),
  'without a scope': <Result>(_: SqlitePool, fn: () => Promise<Result>) => fn(),
};

for (const [where, within] of Object.entries(settings)) {
  test(`a transaction commits when its function resolves, ${where}`, async (t) => {
    const pool = await open(t);
    const result = await within(pool, () =>
      pool.transaction(async (tx) => {
        insert(tx, 'cog');
        await settled();
        t.true(tx.inTransaction);
        t.true(pool.current === tx);
        pool.db.prepare('INSERT INTO item VALUES (?)').run('cam');
        await pool.run('INSERT INTO item VALUES (?)', ['nut']);
        return { rows: await pool.all('SELECT name FROM item') };
      }),
    );
    t.deepEqual(result, { rows: [{ name: 'cog' }, { name: 'cam' }, { name: 'nut' }] });
    t.deepEqual(await namesIn(pool), ['cog', 'cam', 'nut']);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
  });

  test(`a transaction rolls back when its function throws, ${where}, and whatever was thrown passes unchanged`, async (t) => {
    const pool = await open(t);
    const reasons = [new RangeError('enough'), 'a string', undefined, null, 0, { code: 'SQLITE_BUSY' }];
    const ways: ((reason: unknown) => unknown)[] = [
      async (reason) => {
        await settled();
        throw reason;
      },
      (reason) => {
        throw reason;
      },
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- whatever is thrown has to pass
      (reason) => Promise.reject(reason),
    ];
    for (const reason of reasons) {
      for (const fail of ways) {
        let caught: unknown = 'nothing';
        await within(pool, () =>
          pool.transaction((tx) => {
            insert(tx, 'never');
            return fail(reason);
          }),
        ).catch((error: unknown) => {
          caught = error;
        });
        t.is(caught, reason);
      }
    }
    t.deepEqual(await namesIn(pool), []);
    t.like(pool.stats(), { leased: 0, laneHeld: 0, laneWaiting: 0 });
    t.is(pool.stats().counters.dirty, 0);
  });
}

test('a function that is not asynchronous may be given, and what it returns is the result', async (t) => {
  const pool = await open(t);
  t.is(await pool.transaction((tx) => insert(tx, 'cog').changes), 1);
  t.is(await pool.transaction(() => undefined), undefined);
  t.is(await pool.read((db) => db.inTransaction), true);
  t.deepEqual(await namesIn(pool), ['cog']);
});

test('a thenable that begins its work when it is awaited does so in the transaction', async (t) => {
  const pool = await open(t);
  /** As a query builder is. */
  // oxlint-disable unicorn/no-thenable
  class Lazy {
    readonly #work: () => unknown;

    constructor(work: () => unknown) {
      this.#work = work;
    }

    // biome-ignore lint/suspicious/noThenProperty: that is the subject
    then(resolve: (value: unknown) => void, reject: (reason: unknown) => void) {
      return Promise.resolve().then(this.#work).then(resolve, reject);
    }
  }
  // oxlint-enable unicorn/no-thenable
  const lazily = (work: () => unknown) => new Lazy(work);
  const changes: unknown = await pool.transaction(() =>
    lazily(() => pool.db.prepare('DELETE FROM item').run().changes),
  );
  t.is(changes, 0);
  await t.throwsAsync(
    async () => pool.transaction((tx) => lazily(() => insert(tx, 'cog') && tx.prepare('SELECT * FROM none'))),
    { code: 'SQLITE_ERROR' },
  );
  t.deepEqual(await namesIn(pool), []);
});

test('an error that the function has swallowed does not keep the rest from being committed', async (t) => {
  const pool = await open(t);
  await pool.transaction(async (tx) => {
    insert(tx, 'cog');
    t.throws(() => insert(tx, 'cog'), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
    t.throws(() => tx.prepare('SELECT * FROM none'), { code: 'SQLITE_ERROR' });
    t.throws(() => tx.exec('INSERT INTO item VALUES (1, 2)'), { code: 'SQLITE_ERROR' });
    await t.throwsAsync(() => pool.run('INSERT INTO item VALUES (?)', ['cog']), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
    insert(tx, 'cam');
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
});

test('each mode begins as its name says', async (t) => {
  // In a rollback journal EXCLUSIVE differs from IMMEDIATE: it keeps readers out.
  const pool = await open(t, { pragmas: { journal_mode: 'delete' } });
  const other = rawDatabase(t, pool.db.name, { timeout: 0 });
  const outcome = (sql: string) => {
    try {
      other.exec(sql);
      return 'allowed';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const probe = () => ['SELECT * FROM item', 'BEGIN IMMEDIATE; ROLLBACK'].map(outcome);
  const outcomes = {
    default: await pool.transaction(probe),
    deferred: await pool.transaction(probe, { mode: 'deferred' }),
    immediate: await pool.transaction(probe, { mode: 'immediate' }),
    exclusive: await pool.transaction(probe, { mode: 'exclusive' }),
    read: await pool.read(probe),
  };
  t.deepEqual(outcomes, {
    default: ['allowed', 'SQLITE_BUSY'],
    deferred: ['allowed', 'allowed'],
    immediate: ['allowed', 'SQLITE_BUSY'],
    exclusive: ['SQLITE_BUSY', 'SQLITE_BUSY'],
    read: ['allowed', 'allowed'],
  });
});

test('an asynchronous function given to handle.transaction commits, rolls back, and gets its arguments', async (t) => {
  const pool = await open(t);
  await using db = await pool.acquire();
  const add = db.transaction(async function add(this: unknown, name: string, fails: boolean) {
    insert(db, name);
    await settled();
    if (fails) throw new RangeError('enough');
    return [this, name, db.inTransaction];
  });
  t.deepEqual(await add.call({ is: 'this' } as never, 'cog', false), [{ is: 'this' }, 'cog', true]);
  t.false(db.inTransaction);
  await t.throwsAsync(() => add('cam', true), { instanceOf: RangeError });
  for (const variant of ['deferred', 'immediate', 'exclusive'] as const) await add[variant](variant, false);
  t.deepEqual(await namesIn(pool), ['cog', 'deferred', 'immediate', 'exclusive']);
});

test('an asynchronous handle.transaction begins IMMEDIATE, unless one of its variants is called', async (t) => {
  const pool = await open(t);
  const other = rawDatabase(t, pool.db.name, { timeout: 0 });
  await using db = await pool.acquire();
  const probe = db.transaction(async () => {
    await settled();
    try {
      other.exec('BEGIN IMMEDIATE; ROLLBACK');
      return 'allowed';
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  t.is(await probe(), 'SQLITE_BUSY');
  t.is(await probe.default(), 'SQLITE_BUSY');
  t.is(await probe.immediate(), 'SQLITE_BUSY');
  t.is(await probe.exclusive(), 'SQLITE_BUSY');
  t.is(await probe.deferred(), 'allowed');
});

test('pool.db.transaction takes asynchronous functions too', async (t) => {
  const pool = await open(t);
  const add = pool.db.transaction(async (name: string) => {
    pool.db.prepare('INSERT INTO item VALUES (?)').run(name);
    await settled();
    return pool.db.inTransaction;
  });
  t.throws(() => void add('cog'), { code: 'ERR_LEASEHOLD_NO_CONNECTION' });
  await pool.withConnection(async () => {
    t.true(await add('cog'));
    await pool.transaction(() => add('cam'));
  });
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
});

test('transactions of a private database run on its one connection', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  await pool.run('CREATE TABLE item (name TEXT UNIQUE)');
  await Promise.all([
    pool.transaction(async (tx) => {
      insert(tx, 'cog');
      await settled();
      await pool.transaction((inner) => insert(inner, 'cam'));
    }),
    t.throwsAsync(
      pool.transaction(async (tx) => {
        insert(tx, 'never');
        await settled();
        throw new RangeError('enough');
      }),
      { instanceOf: RangeError },
    ),
    pool.read((db) => t.false(db.prepare("SELECT name FROM item WHERE name = 'never'").all().length > 0)),
  ]);
  t.deepEqual(await namesIn(pool), ['cog', 'cam']);
  t.like(pool.stats(), { size: 1, leased: 0, laneHeld: 0, laneWaiting: 0 });
});

test('a pool that only reads has deferred transactions and reads, and no others', async (t) => {
  const writer = await open(t);
  await writer.run("INSERT INTO item VALUES ('cog')");
  const pool = temporaryPool(t, { readonly: true }, writer.db.name);
  t.is(await pool.read((db) => db.prepare('SELECT count(*) FROM item').pluck().get()), 1);
  t.is(await pool.transaction((tx) => tx.inTransaction, { mode: 'deferred' }), true);
  const mustNotRun = () => t.fail();
  await t.throwsAsync(() => pool.transaction(mustNotRun), { code: 'ERR_LEASEHOLD_READ_ONLY' });
  await t.throwsAsync(() => pool.transaction(mustNotRun, { mode: 'exclusive' }), { code: 'ERR_LEASEHOLD_READ_ONLY' });
  await pool.withConnection(async (db) => {
    await t.throwsAsync(() => pool.transaction(mustNotRun), { code: 'ERR_LEASEHOLD_READ_ONLY' });
    await t.throwsAsync(() => db.transaction(async () => mustNotRun())(), { code: 'ERR_LEASEHOLD_READ_ONLY' });
    t.false(db.inTransaction);
  });
});

test('the timeout bounds the wait to begin, not what the function does', async (t) => {
  const pool = await open(t);
  for (const within of Object.values(settings)) {
    await within(pool, () =>
      pool.transaction(
        async (tx) => {
          await new Promise((resolve) => {
            setTimeout(resolve, 15);
          });
          insert(tx, `${pool.stats().counters.acquired}`);
        },
        { timeout: 5 },
      ),
    );
  }
  t.is((await namesIn(pool)).length, 3);
  t.is(pool.stats().counters.timeouts, 0);
});

test('leases() tells who is in a transaction, and in which kind', async (t) => {
  const pool = await open(t);
  const lease = (label: string) => pool.leases().find((entry) => entry.label === label);
  await pool.transaction(
    async () => {
      t.like(lease('payment'), { mode: 'write', inTransaction: true });
      t.is(pool.stats().laneHeld, 1);
      await pool.read(() => t.like(lease('report'), { mode: 'read', inTransaction: true }), {
        label: 'report',
        nesting: 'separate',
      });
    },
    { label: 'payment' },
  );
  await pool.withConnection(
    async () => {
      t.like(lease('request'), { mode: 'connection', inTransaction: false });
      await pool.transaction(() => t.like(lease('request'), { mode: 'write', inTransaction: true }));
      await pool.read(() => t.like(lease('request'), { mode: 'read', inTransaction: true }));
      t.like(lease('request'), { mode: 'connection', inTransaction: false });
    },
    { label: 'request' },
  );
  t.deepEqual(pool.leases(), []);
});
