import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { insert, namesIn, openItems } from '../support/items.ts';

const ended = { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' };
const write = "INSERT INTO item VALUES ('never')";

/**
 * A synchronous function that returns a promise, as an asynchronous one does when it was compiled for an old target. Its
 * rest goes on when `over` has passed.
 */
function escaping(db: LeasedDatabase, over: Promise<void>, rest: () => Promise<void>) {
  const escaped: { rest: Promise<void> | undefined } = { rest: undefined };
  const call = db.transaction(() => {
    insert(db, 'never');
    escaped.rest = over.then(rest);
    return escaped.rest;
  });
  return { call, escaped };
}

async function tryEverything(t: ExecutionContext, pool: SqlitePool, db: LeasedDatabase): Promise<void> {
  const attempts = {
    run: () => insert(db, 'never'),
    get: () => db.prepare('SELECT 1').get(),
    iterate: () => [...db.prepare('SELECT 1').iterate()],
    exec: () => db.exec(write),
    pragma: () => db.pragma('user_version = 5'),
    begin: () => db.exec('BEGIN'),
    synchronous: () => db.transaction(() => insert(db, 'never'))(),
    'synchronous, immediate': () => db.transaction(() => insert(db, 'never')).immediate(),
    ambient: () => pool.db.prepare(write).run(),
  };
  for (const [name, attempt] of Object.entries(attempts)) t.throws(attempt, ended, name);
  await t.throwsAsync(() => pool.run(write), ended);
  await t.throwsAsync(() => pool.get('SELECT 1'), ended);
  // Whether it begins or not, nothing in it is executed.
  await t.throwsAsync(() => db.transaction(async () => insert(db, 'never'))(), ended);
  await t.throwsAsync(() => pool.transaction((tx) => insert(tx, 'never')), ended);
}

test('a promise returned by a synchronous transaction function is refused, and its rest never commits by itself', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    const over = gate();
    const { call, escaped } = escaping(db, over.passed, () => tryEverything(t, pool, db));
    t.throws(() => void call(), { instanceOf: TypeError, message: 'Transaction function cannot return a promise' });
    t.false(db.inTransaction);
    insert(db, 'the scope goes on');
    over.open();
    await escaped.rest;
    t.is(db.transaction(() => 'so do synchronous transactions')(), 'so do synchronous transactions');
  });
  t.deepEqual(await namesIn(pool), ['the scope goes on']);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('the rest is refused although another transaction is open by then', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    const over = gate();
    const { call, escaped } = escaping(db, over.passed, async () => {
      t.throws(() => insert(db, 'never'));
    });
    t.throws(() => void call(), { instanceOf: TypeError });
    await pool.transaction(async (tx) => {
      insert(tx, 'another');
      over.open();
      await escaped.rest;
    });
  });
  t.deepEqual(await namesIn(pool), ['another']);
});

test('the rest is refused inside a managed transaction whose synchronous part has ended', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async (tx) => {
    const over = gate();
    const { call, escaped } = escaping(tx, over.passed, async () => {
      t.throws(() => insert(tx, 'never'), ended);
      await t.throwsAsync(() => pool.run(write), ended);
    });
    t.throws(() => void call(), { instanceOf: TypeError });
    insert(tx, 'the outer one goes on');
    over.open();
    await escaped.rest;
  });
  t.deepEqual(await namesIn(pool), ['the outer one goes on']);
});

test('the rest is refused after the scope has ended too', async (t) => {
  const pool = await openItems(t);
  const over = gate();
  let rest: Promise<void> | undefined;
  await pool.withConnection((db) => {
    const { call, escaped } = escaping(db, over.passed, async () => {
      t.throws(() => insert(db, 'never'), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
      await t.throwsAsync(() => pool.run(write));
      await t.throwsAsync(() => pool.get('SELECT 1'));
    });
    t.throws(() => void call(), { instanceOf: TypeError });
    rest = escaped.rest;
  });
  over.open();
  await rest;
  t.deepEqual(await namesIn(pool), []);
});

test('statements that run while the synchronous function does are its own, in whatever it was called from', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    const inner = db.transaction((name: string) => insert(db, name));
    const over = gate();
    const { call, escaped } = escaping(db, over.passed, async () => {
      t.throws(() => inner('never'), ended);
    });
    t.throws(() => void call(), { instanceOf: TypeError });
    db.transaction(() => inner('nested'))();
    over.open();
    await escaped.rest;
    inner('alone');
  });
  t.deepEqual(await namesIn(pool), ['nested', 'alone']);
});

test('an asynchronous statement of the pool begun inside a synchronous transaction never commits without it', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    let outcome: Promise<unknown> | undefined;
    const failing = db.transaction(() => {
      outcome = pool.run(write).catch((error: unknown) => error);
      throw new RangeError('enough');
    });
    t.throws(() => failing(), { instanceOf: RangeError });
    await outcome;
  });
  t.deepEqual(await namesIn(pool), []);
});
