import test from 'ava';
import type { LeasedDatabase, SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { FakeClock } from '../support/clock.ts';
import { failing, faultyPool, goesOn, sqliteError } from '../support/faults.ts';
import { settled } from '../support/gate.ts';
import { Enough, insert, namesIn } from '../support/items.ts';
import { onlyConnection } from '../support/sqlite.ts';

const closeError = sqliteError('SQLITE_IOERR_CLOSE');

/** How a connection comes to its end, what the pool must be made with for that, and the reason it tells. */
interface Way {
  readonly options?: SqlitePoolOptions;
  readonly reason: string;
  readonly end: (pool: SqlitePool, clock: FakeClock) => unknown;
}

const use = (pool: SqlitePool) => pool.withConnection(() => {});

const ways: Record<string, Way> = {
  'its holder discards it': { reason: 'spoilt', end: (pool) => pool.withConnection((db) => db.discard('spoilt')) },
  'its holder leaves a setting behind': {
    reason: 'pragma cache_size',
    end: (pool) => pool.withConnection((db) => db.pragma('cache_size = 10')),
  },
  'it has served its time': { options: { maxUses: 1 }, reason: 'maxUses', end: use },
  'it is too old': {
    options: { maxLifetime: 1000 },
    reason: 'maxLifetime',
    end: async (pool, clock) => {
      const db = await pool.acquire();
      clock.skip(1000);
      db.close();
    },
  },
  'onRelease refuses it': { options: { onRelease: () => false }, reason: 'onRelease', end: use },
  'it is closed while idle': { reason: 'closeIdle', end: async (pool) => use(pool).then(() => pool.closeIdle()) },
  'the pool drains': { reason: 'drain', end: async (pool) => use(pool).then(() => pool.drain()) },
  'the pool shrinks': {
    reason: 'resize',
    end: async (pool) => {
      const both = await Promise.all([pool.acquire(), pool.acquire()]);
      for (const db of both) db.close();
      pool.resize({ max: 1 });
    },
  },
  'it is overdue': {
    reason: 'overdue',
    end: async (pool) => {
      await pool.acquire();
      pool.closeOverdue(0);
    },
  },
};

for (const [title, { options, reason, end }] of Object.entries(ways)) {
  test(`a connection that can not be closed when ${title} is reported, and its slot comes back`, async (t) => {
    const clock = new FakeClock();
    const { pool, faults, errors } = await faultyPool(t, { max: 2, ...options }, { clock });
    await pool.drain();
    const told: string[] = [];
    pool.on('close', (event) => void told.push(event.reason));
    const before = faults.open();
    faults.decide = failing(closeError, 'close');
    await end(pool, clock);
    await settled();
    t.deepEqual(errors, [closeError]);
    t.deepEqual(told, [reason]);
    t.is(
      faults.open() - before,
      1 + pool.stats().size,
      'What is open is what the pool has, and the one that was reported',
    );
    faults.mend();
    const max = await Promise.all(Array.from({ length: pool.stats().max }, () => pool.acquire()));
    for (const db of max) db.close();
    await settled();
    await goesOn(t, pool);
    t.is(errors.length, 1);
  });
}

test('a pool none of whose connections can be closed closes all the same, and reports each', async (t) => {
  for (const timeout of [0, 5000]) {
    const { pool, faults, errors } = await faultyPool(t, { max: 3, min: 3 });
    await pool.ready();
    const held = await pool.acquire();
    faults.decide = failing(closeError, 'close');
    const closing = pool.close({ timeout });
    if (timeout > 0) held.close();
    await closing;
    t.deepEqual(
      errors,
      [1, 2, 3, 4].map(() => closeError),
      'Those of the pool, and that of its lane',
    );
    t.like(pool.stats(), { size: 0, idle: 0, leased: 0 });
    t.is(faults.open(), 4);
    await t.throwsAsync(pool.acquire(), { code: 'ERR_LEASEHOLD_CLOSED' });
  }
});

test('a transaction that can be neither rolled back nor closed keeps its lock, and those who want to write are told of that in time', async (t) => {
  const clock = new FakeClock();
  const { pool, faults, errors } = await faultyPool(t, { max: 2 }, { clock });
  const [cause, rollbackError] = [new Enough(), sqliteError('SQLITE_IOERR')];
  const rollback = failing(rollbackError, 'run ROLLBACK', 'exec ROLLBACK');
  const close = failing(closeError, 'close');
  const broken = pool.transaction(async (tx) => {
    insert(tx, 'never');
    await settled();
    faults.decide = (call, sql) => rollback(call, sql) ?? close(call, sql);
    throw cause;
  });
  t.is(await t.throwsAsync(broken), cause);
  t.deepEqual(errors, [rollbackError, closeError]);
  faults.mend();
  // Nobody in the pool has it, so it is as if another process had.
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  const busy = { code: 'ERR_LEASEHOLD_WRITE_TIMEOUT', cause: { code: 'SQLITE_BUSY' } };
  const attempts = [
    () => pool.transaction(() => t.fail(), { timeout: 50 }),
    () => pool.run("INSERT INTO item VALUES ('never')", [], { timeout: 50 }),
    () => pool.withConnection(() => pool.transaction(() => t.fail(), { timeout: 50 })),
  ];
  for (const attempt of attempts) {
    const refused = t.throwsAsync(attempt());
    await settled();
    await clock.pass(100);
    t.like(await refused, busy);
  }
  t.deepEqual(await namesIn(pool), []);
  // Whoever waits is served when it is gone.
  const waiting = pool.transaction((tx) => insert(tx, 'cog'));
  await settled();
  faults.closeOrphans();
  await clock.pass(100);
  await waiting;
  t.deepEqual(await namesIn(pool), ['cog']);
  await goesOn(t, pool);
});

test('a connection whose transaction was left open, and that can be neither rolled back nor closed, is not lent again', async (t) => {
  const { pool, faults, errors } = await faultyPool(t, { max: 1 });
  const rollbackError = sqliteError('SQLITE_IOERR');
  const rollback = failing(rollbackError, 'exec ROLLBACK');
  const close = failing(closeError, 'close');
  let left = 0;
  await pool.withConnection((db) => {
    left = onlyConnection(pool);
    db.exec('BEGIN');
    db.prepare('SELECT * FROM item').all();
    faults.decide = (call, sql) => rollback(call, sql) ?? close(call, sql);
  });
  t.deepEqual(errors, [rollbackError, closeError]);
  faults.mend();
  await pool.withConnection((db) => {
    t.not(onlyConnection(pool), left);
    t.false(db.inTransaction);
  });
  t.is(pool.stats().counters.discarded, 1);
  await goesOn(t, pool);
});

/** What code that SQLite calls in the middle of a statement may do to the connection that runs it. */
const within: Record<string, (pool: SqlitePool, db: LeasedDatabase) => void> = {
  'is discarded and given back': (_, db) => {
    db.discard();
    db.close();
  },
  'is given back, and idle ones closed': (pool, db) => {
    db.close();
    pool.closeIdle();
  },
  'is taken away as overdue': (pool) => void pool.closeOverdue(0),
  'is taken away by a pool that closes': (pool) => void pool.close({ timeout: 0 }),
};

for (const [title, act] of Object.entries(within)) {
  // SQLite can not close it as long as the statement runs. It is not tried again.
  test(`a connection that ${title} from within its own statement is closed when that is done`, async (t) => {
    let call: (() => void) | undefined;
    const { pool, faults, errors } = await faultyPool(t, {
      onOpen: (db) => void db.function('act', () => call?.()),
    });
    const db = await pool.acquire();
    call = () => act(pool, db);
    t.notThrows(() => db.prepare('SELECT act()').get());
    await settled();
    await settled();
    t.deepEqual(errors, []);
    t.is(faults.open(), pool.stats().size);
  });
}
