import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { Enough } from '../support/items.ts';
import { isIdle, names, openKnex, type Setup } from '../support/knex.ts';

/** As `openKnex`, with so many rows, named by their number. */
async function openRows(t: ExecutionContext, count: number, options?: SqlitePoolOptions): Promise<Setup> {
  const setup = await openKnex(t, options);
  await setup.db.raw(
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO item (name) SELECT i FROM n',
    [count],
  );
  return setup;
}

/** Waits for what a stream gives back after its end. */
async function untilIdle(t: ExecutionContext, { pool }: Setup): Promise<void> {
  while (pool.stats().leased > 0) await setImmediate();
  isIdle(t, pool);
}

test('rows are read as they are asked for, and others go on meanwhile', async (t) => {
  const setup = await openRows(t, 1000);
  const { pool, db } = setup;
  let read = 0;
  for await (const row of db('item').orderBy('id').stream() as AsyncIterable<{ id: number }>) {
    read++;
    if (row.id % 100 !== 1) continue;
    t.is(pool.stats().leased, row.id > 900 ? pool.stats().leased : 1);
    await db('item')
      .where({ id: row.id })
      .update({ name: `seen ${row.id}` });
    t.like(await db('item').first().where({ id: row.id }), { name: `seen ${row.id}` });
    await db.transaction(async (trx) => trx('item').where({ id: row.id }).increment('id', 0));
  }
  t.is(read, 1000);
  await untilIdle(t, setup);
});

test('nobody has to wait while many rows are read', async (t) => {
  const { db } = await openRows(t, 5000);
  let turns = 0;
  const counting = setInterval(() => turns++);
  let read = 0;
  for await (const _ of db('item').stream()) read++;
  clearInterval(counting);
  t.is(read, 5000);
  t.true(turns > 0);
});

test('a reader that has had enough gives the connection back', async (t) => {
  const setup = await openRows(t, 1000);
  for await (const _ of setup.db('item').stream()) break;
  await untilIdle(t, setup);
  setup.db('item').stream().destroy();
  await setImmediate();
  await untilIdle(t, setup);
  const stream = setup.db('item').stream();
  await once(stream, 'data');
  t.is(setup.pool.stats().leased, 1);
  stream.destroy();
  await untilIdle(t, setup);
});

test('the connection goes back with the last row, however long the reader takes over it', async (t) => {
  const { pool, db } = await openRows(t, 10);
  let read = 0;
  for await (const _ of db('item').stream()) {
    await setImmediate();
    t.is(pool.stats().leased, 0);
    read++;
  }
  t.is(read, 10);
});

test('rows are piped, and given to a function, which is awaited', async (t) => {
  const setup = await openRows(t, 300);
  const { db } = setup;
  const piped: { id: number }[] = [];
  const sink = () =>
    new Writable({
      objectMode: true,
      write(row: { id: number }, _, done) {
        piped.push(row);
        setTimeout(done);
      },
    });
  await once(db('item').orderBy('id').pipe(sink()), 'finish');
  await pipeline(db('item').orderBy('id').stream(), new PassThrough({ objectMode: true }), sink());
  let isOver = false;
  await db('item').stream((stream) => {
    stream.pipe(sink());
    stream.once('end', () => {
      isOver = true;
    });
  });
  t.true(isOver);
  t.true(piped.length >= 600);
  while (piped.length < 900) await setImmediate();
  t.deepEqual(piped[299], { id: 300, name: '300' } as never);
  await untilIdle(t, setup);
});

function fail(): never {
  throw new Enough();
}

test('a function for a stream that throws leaves no connection behind', async (t) => {
  const setup = await openRows(t, 1000);
  t.throws(() => setup.db('item').stream(fail), { instanceOf: Enough });
  // It is on its way to a connection when the function throws.
  await setImmediate();
  await untilIdle(t, setup);
});

test('an error reaches the reader, before the first row or after it', async (t) => {
  const setup = await openRows(t, 300);
  const read = async (sql: string) => {
    for await (const _ of setup.db.raw(sql).stream()) await setImmediate();
  };
  await t.throwsAsync(read('select * from nowhere'), { message: /no such table/ });
  // Its 200th row is no JSON.
  await t.throwsAsync(read("select json(iif(id < 200, '1', '{')) from item order by id"), {
    message: /malformed JSON/,
  });
  await untilIdle(t, setup);
});

for (const [place, options] of [
  ['in a transaction', {}],
  ['within a connection of the pool', {}],
  ['in a pool of one connection', { max: 1 }],
] as const) {
  test(`${place} rows are read first, so that queries may run among them`, async (t) => {
    const setup = await openRows(t, 300, options);
    const { pool, db } = setup;
    const work = async () => {
      let read = 0;
      for await (const { id } of db('item').orderBy('id').stream() as AsyncIterable<{ id: number }>) {
        if (id % 100 === 0)
          await db('item')
            .where({ id })
            .update({ name: `seen ${id}` });
        if (id % 100 === 0) t.like(await db('item').first().where({ id }), { name: `seen ${id}` });
        read++;
      }
      t.is(read, 300);
    };
    if (place === 'in a transaction') await db.transaction(work);
    else if (place === 'within a connection of the pool') await pool.withConnection(work);
    else await work();
    t.is((await names(pool)).filter((name) => String(name).startsWith('seen')).length, 3);
    await untilIdle(t, setup);
  });
}

test('a transaction streams what it has written', async (t) => {
  const setup = await openRows(t, 10);
  const trx = await setup.db.transaction();
  await trx('item').where('id', '>', 5).del();
  const seen: unknown[] = [];
  for await (const row of trx('item').stream()) seen.push(row);
  t.is(seen.length, 5);
  await trx.rollback();
  const late = async () => {
    for await (const _ of trx('item').stream()) t.fail('There are no rows');
  };
  await t.throwsAsync(late, { message: /^Transaction query already complete/ });
  await untilIdle(t, setup);
});

test('rows of a statement that writes are streamed when it has been done', async (t) => {
  const setup = await openKnex(t);
  const rows = Array.from({ length: 100 }, (_, index) => ({ name: `${index}` }));
  const stream = setup.db('item').insert(rows).returning('name').stream();
  const seen: unknown[] = [];
  for await (const row of stream as AsyncIterable<{ name: string }>) {
    // As long as somebody writes, others wait for their turn.
    await setup.db('item').insert({ name: `after ${row.name}` });
    seen.push(row);
  }
  t.deepEqual(seen, rows);
  t.is((await names(setup.pool)).length, 200);
  await untilIdle(t, setup);
});
