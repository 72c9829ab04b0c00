import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, OpenTransaction, SqlitePool } from '../lib/index.ts';
import { temporaryFile } from './support/files.ts';
import { settled } from './support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from './support/items.ts';
import { temporaryPool } from './support/sqlite.ts';

const empty = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };

type Opened = OpenTransaction<LeasedDatabase>;

/** One in the other, each of which has written its name. */
async function openPart(t: ExecutionContext, pool: SqlitePool): Promise<{ outer: Opened; part: Opened }> {
  const outer = await pool.openTransaction().begun;
  outer.run((db) => insert(db, 'outer'));
  const part = await outer.run(() => pool.openTransaction()).begun;
  part.run((db) => insert(db, 'part'));
  t.is(pool.stats().leased, 1, 'on the same connection');
  return { outer, part };
}

test('opened inside another it is a savepoint: undone alone, kept with the other', async (t) => {
  const pool = await openItems(t);
  const first = await openPart(t, pool);
  await first.part.rollback();
  first.outer.run((db) => insert(db, 'after'));
  await first.outer.commit();
  t.deepEqual(await namesIn(pool), ['outer', 'after']);
  const second = await openPart(t, pool);
  await second.part.commit();
  await second.outer.rollback();
  t.deepEqual(await namesIn(pool), ['outer', 'after']);
  const third = await openPart(t, pool);
  await third.part.commit();
  await third.outer.commit();
  t.deepEqual(await namesIn(pool), ['outer', 'after', 'outer', 'part']);
  t.like(pool.stats(), empty);
});

test('inside transaction() it is a part of that, which may not return before it has ended', async (t) => {
  const pool = await openItems(t);
  await pool.transaction(async () => {
    const part = await pool.openTransaction().begun;
    part.run((db) => insert(db, 'part'));
    await part.commit();
  });
  t.deepEqual(await namesIn(pool), ['part']);
  let left: Opened | undefined;
  const refused = pool.transaction(async () => {
    left = await pool.openTransaction().begun;
  });
  await t.throwsAsync(refused, { ...refusal('TRANSACTION_BUSY'), message: /a nested transaction was open/ });
  await t.throwsAsync(left?.commit() ?? Promise.resolve(), refusal('TRANSACTION_ENDED'));
  t.like(pool.stats(), empty);
});

test('transaction() and read() inside of it are parts of it', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  await tx.run(async () => {
    await pool.transaction((db) => insert(db, 'kept'));
    const failed = pool.transaction((db) => {
      insert(db, 'lost');
      throw new Enough();
    });
    await t.throwsAsync(failed, { instanceOf: Enough });
    t.deepEqual(await pool.read(() => namesIn(pool)), ['kept']);
    await t.throwsAsync(
      pool.read((db) => insert(db, 'refused')),
      refusal('READ_ONLY'),
    );
  });
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('parts that are opened side by side come one after the other', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  const [first, second] = tx.run(() => [pool.openTransaction(), pool.openTransaction()] as const);
  await first.begun;
  let hasBegun = false;
  const begun = second.begun.then(() => {
    hasBegun = true;
  });
  await settled();
  t.false(hasBegun);
  first.run((db) => insert(db, 'first'));
  await first.rollback();
  await begun;
  second.run((db) => insert(db, 'second'));
  await second.commit();
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['second']);
});

test('a commit with a part still open is refused, and nothing is kept', async (t) => {
  const pool = await openItems(t);
  const { outer, part } = await openPart(t, pool);
  await t.throwsAsync(outer.commit(), refusal('TRANSACTION_BUSY'));
  t.like(pool.stats(), empty);
  await t.throwsAsync(part.commit(), refusal('TRANSACTION_ENDED'));
  await part.rollback();
  t.deepEqual(await namesIn(pool), []);
});

test('a rollback takes its parts with it, however deep', async (t) => {
  const pool = await openItems(t);
  const { outer, part } = await openPart(t, pool);
  const deepest = await part.run(() => pool.openTransaction()).begun;
  deepest.run((db) => insert(db, 'deepest'));
  await outer.rollback();
  t.like(pool.stats(), empty);
  for (const tx of [part, deepest]) {
    t.throws(() => tx.run((db) => insert(db, 'refused')), refusal('TRANSACTION_ENDED'));
    await t.throwsAsync(tx.commit(), refusal('TRANSACTION_ENDED'));
  }
  t.deepEqual(await namesIn(pool), []);
});

test('an abort of a part leaves the transaction around it as it was', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  const outer = await pool.openTransaction().begun;
  const part = await outer.run(() => pool.openTransaction({ signal: controller.signal })).begun;
  part.run((db) => insert(db, 'lost'));
  controller.abort();
  await t.throwsAsync(part.commit(), { code: 'ABORT_ERR' });
  outer.run((db) => insert(db, 'kept'));
  await outer.commit();
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('an abort of the transaction ends its parts', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  const outer = await pool.openTransaction({ signal: controller.signal }).begun;
  const part = await outer.run(() => pool.openTransaction()).begun;
  part.run((db) => insert(db, 'lost'));
  controller.abort();
  t.throws(() => part.run((db) => insert(db, 'refused')), { code: 'ABORT_ERR' });
  await t.throwsAsync(part.commit());
  await t.throwsAsync(outer.commit(), { code: 'ABORT_ERR' });
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), []);
});

test('one that joins takes part: its commit leaves the end to the other', async (t) => {
  const pool = await openItems(t);
  const outer = await pool.openTransaction().begun;
  const joined = await outer.run(() => pool.openTransaction({ nesting: 'join' })).begun;
  joined.run((db) => insert(db, 'joined'));
  outer.run((db) => insert(db, 'beside'));
  await joined.commit();
  t.is(pool.stats().leased, 1);
  await outer.commit();
  t.deepEqual(await namesIn(pool), ['joined', 'beside']);
});

test('its rollback is that of all, which says why', async (t) => {
  const pool = await openItems(t);
  const outer = await pool.openTransaction().begun;
  const joined = await outer.run(() => pool.openTransaction({ nesting: 'join', label: 'part' })).begun;
  joined.run((db) => insert(db, 'lost'));
  await joined.rollback();
  await t.throwsAsync(joined.commit(), refusal('TRANSACTION_ENDED'));
  const error = await t.throwsAsync(outer.commit(), refusal('TRANSACTION_ABORTED'));
  t.like(error?.cause, { ...refusal('TRANSACTION_ENDED'), label: 'part' });
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), []);
});

test('its signal counts, though it has no savepoint of its own', async (t) => {
  const pool = await openItems(t);
  const controller = new AbortController();
  const outer = await pool.openTransaction().begun;
  const joined = await outer.run(() => pool.openTransaction({ nesting: 'join', signal: controller.signal })).begun;
  controller.abort();
  await t.throwsAsync(joined.commit(), { code: 'ABORT_ERR' });
  await t.throwsAsync(outer.commit(), { ...refusal('TRANSACTION_ABORTED') });
  t.like(pool.stats(), empty);
});

test('as long as it has not ended the other can not commit', async (t) => {
  const pool = await openItems(t);
  const outer = await pool.openTransaction().begun;
  const joined = await outer.run(() => pool.openTransaction({ nesting: 'join' })).begun;
  await t.throwsAsync(outer.commit(), refusal('TRANSACTION_BUSY'));
  t.throws(() => joined.run((db) => insert(db, 'refused')), refusal('TRANSACTION_ENDED'));
  await joined.rollback();
  t.like(pool.stats(), empty);
});

test('a separate snapshot sees nothing of the transaction that it is opened in, and goes its own way', async (t) => {
  const pool = await openItems(t);
  const outer = await pool.openTransaction().begun;
  outer.run((db) => insert(db, 'outer'));
  const snapshot = await outer.run(() => pool.openTransaction({ mode: 'read', nesting: 'separate' })).begun;
  t.is(pool.stats().leased, 2);
  t.deepEqual(await snapshot.run(() => namesIn(pool)), []);
  t.deepEqual(await outer.run(() => namesIn(pool)), ['outer']);
  await snapshot.commit();
  await outer.commit();
  t.like(pool.stats(), empty);
});

test('a separate one that writes is refused where it could never begin', async (t) => {
  const pool = await openItems(t);
  const outer = await pool.openTransaction().begun;
  const never = outer.run(() => pool.openTransaction({ nesting: 'separate' }));
  await t.throwsAsync(never.begun, refusal('WRITE_LOCKED'));
  outer.run((db) => insert(db, 'kept'));
  await outer.commit();
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('in a snapshot only a snapshot can be opened', async (t) => {
  const pool = await openItems(t);
  const snapshot = await pool.openTransaction({ mode: 'read' }).begun;
  await t.throwsAsync(snapshot.run(() => pool.openTransaction()).begun, refusal('READ_ONLY'));
  const part = await snapshot.run(() => pool.openTransaction({ mode: 'read' })).begun;
  t.deepEqual(await part.run(() => namesIn(pool)), []);
  await part.commit();
  await snapshot.commit();
  t.like(pool.stats(), empty);
});

test('with one connection a transaction leaves room for readers, and works in memory', async (t) => {
  const single = await openItems(t, { max: 1 });
  const tx = await single.openTransaction().begun;
  tx.run((db) => insert(db, 'kept'));
  t.deepEqual(await namesIn(single), []);
  await tx.commit();
  t.deepEqual(await namesIn(single), ['kept']);

  const memory = temporaryPool(t, {}, ':memory:');
  await memory.run('CREATE TABLE item (name TEXT)');
  const { outer, part } = await openPart(t, memory);
  const outside = namesIn(memory);
  await settled();
  t.is(memory.stats().waiting, 1, 'whose one connection the others wait for');
  await part.commit();
  await outer.commit();
  t.deepEqual(await outside, ['outer', 'part']);
  t.like(memory.stats(), { leased: 0, laneHeld: 0 });
});

test('two pools of one file take turns, and neither waits for itself', async (t) => {
  const file = temporaryFile(t);
  const [a, b] = [temporaryPool(t, {}, file), temporaryPool(t, {}, file)];
  await a.run('CREATE TABLE item (name TEXT)');
  const first = await a.openTransaction().begun;
  first.run((db) => insert(db, 'first'));
  await t.throwsAsync(first.run(() => b.openTransaction()).begun, refusal('WRITE_LOCKED'));
  const second = b.openTransaction();
  await settled();
  t.is(b.stats().laneWaiting, 1);
  await first.commit();
  await second.begun;
  t.deepEqual(await second.run(() => namesIn(b)), ['first']);
  await second.commit();
  t.like(b.stats(), empty);
});
