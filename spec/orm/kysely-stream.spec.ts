import test from 'ava';
import type { Kysely } from 'kysely';
import { Enough, refusal } from '../support/items.ts';
import { add, type Items, isIdle, namesOf, openKysely, type Tables } from '../support/kysely.ts';

const stream = (db: Kysely<Tables>, chunkSize = 2) =>
  db.selectFrom('item').select('name').orderBy('id').stream(chunkSize);

async function drained(db: Kysely<Tables>): Promise<string> {
  const names: string[] = [];
  for await (const { name } of stream(db)) names.push(name);
  return names.join(' ');
}

/** Where the code around a stream may be. */
const places: Record<string, (items: Items, run: (db: Kysely<Tables>) => Promise<void>) => Promise<void>> = {
  'no scope': ({ db }, run) => run(db),
  'a scope that holds nothing': ({ pool, db }, run) => pool.withScope(() => run(db)),
  'a scope with a connection': ({ pool, db }, run) => pool.withConnection(() => run(db)),
  'a transaction of the pool': ({ pool, db }, run) => pool.transaction(() => run(db)),
  // What Kysely calls `trx` waits for the end of its stream, so in the loop it is the root database that is used.
  'a transaction of Kysely': ({ db }, run) => db.transaction().execute(run),
  'a transaction of Kysely in a scope with a connection': ({ pool, db }, run) =>
    pool.withConnection(() => db.transaction().execute(() => run(db))),
};

for (const [place, within] of Object.entries(places)) {
  for (const file of ['a file', ':memory:']) {
    test(`in the loop over a stream everything goes on as outside of it: in ${place}, on ${file}`, async (t) => {
      const items = await openKysely(t, file === ':memory:' ? { file } : {});
      const { pool, db } = items;
      await add(db, 'a', 'b', 'c', 'd', 'e');
      const seen: string[] = [];
      await within(items, async (around) => {
        for await (const { name } of stream(around)) {
          seen.push(name);
          t.true((await namesOf(db)).startsWith('a b c d e'), 'a read');
          t.true((await drained(db)).startsWith('a b c d e'), 'a stream');
          await add(db, 'of a write');
          await db.transaction().execute(async (trx) => {
            await add(trx, 'of a transaction');
            t.true((await drained(trx)).endsWith('of a transaction'));
          });
          await t.throwsAsync(
            db.transaction().execute(async (trx) => {
              await add(trx, 'undone');
              throw new Enough();
            }),
            { instanceOf: Enough },
          );
        }
        t.is((await namesOf(db)).split('of a write of a transaction').length, 6);
      });
      // The rows of before, whatever came meanwhile.
      t.deepEqual(seen, ['a', 'b', 'c', 'd', 'e']);
      t.false((await namesOf(db)).includes('undone'));
      isIdle(t, pool);
    });
  }
}

test('a transaction in the loop is the first that finds rows unread, and is not in their way either', async (t) => {
  for (const within of Object.values(places)) {
    const items = await openKysely(t);
    const { db } = items;
    await add(db, 'a', 'b', 'c');
    const seen: string[] = [];
    await within(items, async (around) => {
      for await (const { name } of stream(around, 1)) {
        seen.push(name);
        await db.transaction().execute((trx) => add(trx, 'x'));
      }
    });
    t.deepEqual(seen, ['a', 'b', 'c']);
    t.is(await namesOf(db), 'a b c x x x');
  }
});

test('a stream is read as it is asked for, not at once', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c', 'd', 'e');
  let read = 0;
  await pool.withConnection(async (handle) => {
    handle.function('noted', (name: string) => {
      read++;
      return name;
    });
    const noted = db.selectFrom('item').select((eb) => eb.fn<string>('noted', ['name']).as('name'));
    const rows = noted.stream(2);
    t.is(read, 0);
    await rows.next();
    t.is(read, 2);
    await rows.next();
    t.is(read, 2);
    await rows.next();
    t.is(read, 4);
    // What writes has the rest read first; what only reads has not.
    await namesOf(db);
    t.is(read, 4);
    await add(db, 'f');
    t.is(read, 5);
    t.deepEqual((await rows.next()).value, { name: 'd' });
    t.deepEqual((await rows.next()).value, { name: 'e' });
    t.true((await rows.next()).done);
    // Two at once are both read before a write.
    const [one, two] = [noted.stream(1), noted.stream(1)];
    await one.next();
    await two.next();
    read = 0;
    await add(db, 'g');
    t.is(read, 10);
    await one.return?.();
    await two.return?.();
  });
  isIdle(t, pool);
});

test('rows come in order, none missing, whatever the size of a chunk', async (t) => {
  const { db } = await openKysely(t);
  await add(db, 'a', 'b', 'c', 'd');
  for (const size of [1, 2, 3, 4, 5, 100]) {
    const names: string[] = [];
    for await (const { name } of stream(db, size)) names.push(name);
    t.is(names.join(' '), 'a b c d', `${size}`);
  }
  for (const size of [0, -1, 1.5, Number.NaN]) {
    await t.throwsAsync(stream(db, size).next(), refusal('OPTIONS'));
  }
});

test('the connection comes back in every outcome, and a stream that never began takes none', async (t) => {
  const { pool, db } = await openKysely(t, { max: 1 });
  await add(db, 'a', 'b', 'c');
  const { acquired } = pool.stats().counters;
  stream(db);
  const never = stream(db);
  await never.return?.();
  t.is(pool.stats().counters.acquired, acquired);

  for await (const _ of stream(db, 1)) {
    t.is(pool.stats().leased, 1);
    break;
  }
  isIdle(t, pool);
  const thrown = async () => {
    for await (const _ of stream(db, 1)) throw new Enough();
  };
  await t.throwsAsync(thrown(), { instanceOf: Enough });
  isIdle(t, pool);
  await pool.withConnection(async (handle) => {
    for await (const _ of stream(db, 1)) break;
    // Refused while rows are being read.
    handle.exec('UPDATE item SET name = name');
  });
  const wrong = db.selectFrom('nothing' as 'item').selectAll();
  await t.throwsAsync(wrong.stream().next(), { code: 'SQLITE_ERROR' });
  isIdle(t, pool);
  t.is(await drained(db), 'a b c');
});

test('an error among the rows comes where its row would have been, and the write that met it goes on', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'bad', 'c');
  await pool.withConnection(async (handle) => {
    handle.function('checked', (name: string) => {
      if (name === 'bad') throw new Enough();
      return name;
    });
    const checked = db.selectFrom('item').select((eb) => eb.fn<string>('checked', ['name']).as('name'));
    const straight = checked.stream(1);
    await straight.next();
    await straight.next();
    await t.throwsAsync(straight.next(), { instanceOf: Enough });
    const met = checked.stream(1);
    await met.next();
    await add(db, 'd');
    await t.throwsAsync(met.next(), { instanceOf: Enough });
    await add(db, 'e');
  });
  t.is(await namesOf(db), 'a b bad c d e');
  isIdle(t, pool);
});

test('a stream of what writes does all of it first, in its turn, and then gives its rows', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  const renamed: string[] = [];
  for await (const { name } of db.updateTable('item').set({ name: 'z' }).returning('name').stream(2)) {
    renamed.push(name);
    isIdle(t, pool);
    await add(db, 'new');
  }
  t.deepEqual(renamed, ['z', 'z', 'z']);
  for await (const _ of db.deleteFrom('item').where('name', '=', 'z').stream()) t.fail();
  t.is(await namesOf(db), 'new new new');
});

test('where there is one connection for all, what the loop wants beside it is refused in time, and writes go on', async (t) => {
  const { pool, db } = await openKysely(t, { max: 1, acquireTimeout: 500 });
  await add(db, 'a', 'b');
  await pool.withScope(
    async () => {
      for await (const { name } of stream(db, 1)) {
        const error = await t.throwsAsync(namesOf(db), refusal('ACQUIRE_TIMEOUT'));
        t.regex(error?.message ?? '', /GET \/export/);
        // On the connection of the write lane.
        await add(db, `${name}${name}`);
        await db.transaction().execute(async (trx) => t.is(await namesOf(trx), name === 'a' ? 'a b aa' : 'a b aa bb'));
      }
    },
    { label: 'GET /export' },
  );
  t.is(await namesOf(db), 'a b aa bb');
});

test('a stream that is left open is in the way of neither COMMIT nor ROLLBACK', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  let left = stream(db, 1);
  await db.transaction().execute(async (trx) => {
    await add(trx, 'd');
    left = stream(trx, 1);
    await left.next();
  });
  // It was read to its end before the COMMIT.
  t.deepEqual((await left.next()).value, { name: 'b' });
  await left.return?.();
  await t.throwsAsync(
    db.transaction().execute(async (trx) => {
      left = stream(trx, 1);
      await left.next();
      throw new Enough();
    }),
    { instanceOf: Enough },
  );
  await t.throwsAsync(left.next(), refusal('TRANSACTION_ENDED'));
  const trx = await db.startTransaction().execute();
  const [one] = [await trx.savepoint('one').execute()];
  for await (const _ of stream(one, 1)) break;
  await trx.commit().execute();
  isIdle(t, pool);
  t.is(await namesOf(db), 'a b c d');
});

test('a connection that is taken away ends the stream with an error, never silently', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  const rows = stream(db, 1);
  await rows.next();
  await pool.close({ timeout: 0 });
  await t.throwsAsync(rows.next(), refusal('RELEASED'));
});

test('to leave a stream whose connection was taken away is no error', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a', 'b', 'c');
  for await (const _ of stream(db, 1)) {
    await pool.close({ timeout: 0 });
    break;
  }
  isIdle(t, pool);
});
