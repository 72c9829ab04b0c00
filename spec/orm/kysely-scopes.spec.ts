import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { sql } from 'kysely';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { refusal } from '../support/items.ts';
import { add, isIdle, namesOf, openKysely } from '../support/kysely.ts';
import { libraryUrl } from '../support/sqlite.ts';

test('a query in a scope runs on its connection', async (t) => {
  const { pool, db } = await openKysely(t, { max: 1 });
  await pool.withConnection(async (handle) => {
    handle.exec('CREATE TEMP TABLE mine (x); INSERT INTO mine VALUES (1)');
    t.deepEqual((await sql`select x from mine`.execute(db)).rows, [{ x: 1 }]);
    await add(db, 'a');
    t.is(pool.stats().leased, 1);
  });
  await t.throwsAsync(sql`select x from mine`.execute(db), { message: 'no such table: mine' });
});

test('a query outside of a scope, or in one that holds nothing, takes a connection for itself', async (t) => {
  const { pool, db } = await openKysely(t);
  const { acquired } = pool.stats().counters;
  t.is(await namesOf(db), '');
  await pool.withScope(async () => {
    await add(db, 'a');
    t.is(await namesOf(db), 'a');
    t.is(pool.current, undefined);
    t.is(pool.stats().leased, 0);
    await pool.connection();
    t.is(await namesOf(db), 'a');
  });
  t.is(pool.stats().counters.acquired - acquired, 4);
  isIdle(t, pool);
});

test('what a statement leaves behind on the connection it took is not there for the next', async (t) => {
  const { pool, db } = await openKysely(t, { max: 1 });
  const traces: string[] = [];
  pool.on('dirty', (event) => void traces.push(...event.traces));
  await sql`pragma foreign_keys = off`.execute(db);
  // It would be over with its own connection, and what follows would not be in it.
  await t.throwsAsync(sql`begin`.execute(db), refusal('NO_CONNECTION'));
  await add(db, 'a');
  t.deepEqual(traces, ['pragma foreign_keys']);
  t.deepEqual((await sql`pragma foreign_keys`.execute(db)).rows, [{ foreign_keys: 1 }]);
  t.is(await namesOf(db), 'a');
});

test('in a snapshot all queries see the same, and none can write', async (t) => {
  const { pool, db } = await openKysely(t);
  await add(db, 'a');
  await pool.read(async () => {
    t.is(await namesOf(db), 'a');
    await pool.transaction(() => add(db, 'b'), { nesting: 'separate' });
    t.is(await namesOf(db), 'a');
    await t.throwsAsync(add(db, 'c'), refusal('READ_ONLY'));
    await t.throwsAsync(
      db.transaction().execute(() => t.fail()),
      refusal('READ_ONLY'),
    );
    const names = await db.transaction().setAccessMode('read only').execute(namesOf);
    t.is(names, 'a');
  });
  t.is(await namesOf(db), 'a b');
});

test('fifty requests, each with a transaction that awaits, neither mix nor fail', async (t) => {
  const { pool, db } = await openKysely(t, { max: 4, acquireTimeout: 50_000 });
  const request = (index: number) =>
    pool.withScope(async () => {
      await settled();
      const done = db.transaction().execute(async (trx) => {
        const { id } = await trx
          .insertInto('item')
          .values({ name: `${index}` })
          .returning('id')
          .executeTakeFirstOrThrow();
        await settled();
        // With the root database, as a function would that knows nothing of the transaction.
        await db
          .insertInto('tag')
          .values({ item: id, name: `of ${index}` })
          .execute();
        await settled();
        t.is(pool.stats().laneHeld, 1);
        if (index % 5 === 0) throw new Error('enough');
      });
      if (index % 5 === 0) await t.throwsAsync(done, { message: 'enough' });
      else await done;
      // After it the request is where it was before.
      t.is(pool.current, undefined);
      t.is((await namesOf(db)).split(' ').includes(`${index}`), index % 5 !== 0);
    });
  await Promise.all(Array.from({ length: 50 }, (_, index) => request(index)));
  const rows = await db
    .selectFrom('item')
    .innerJoin('tag', 'tag.item', 'item.id')
    .select(['item.name', 'tag.name as tag'])
    .execute();
  t.is(rows.length, 40);
  for (const row of rows) t.is(row.tag, `of ${row.name}`);
  isIdle(t, pool);
});

test('reads go on beside an open transaction, and see nothing of it; a write waits for it', async (t) => {
  const { pool, db } = await openKysely(t);
  const [begun, end] = [gate(), gate()];
  //  one                              others
  //  writes, and awaits
  const one = db.transaction().execute(async (trx) => {
    await add(trx, 'a');
    begun.open();
    await end.passed;
  });
  await begun.passed;
  //                                   read at once
  t.is(await namesOf(db), '');
  t.is(await db.transaction().setAccessMode('read only').execute(namesOf), '');
  //                                   wait, and hold no connection for it
  const two = add(db, 'b');
  const three = db.transaction().execute((trx) => add(trx, 'c'));
  await settled();
  t.like(pool.stats(), { laneWaiting: 2, leased: 1 });
  //  commits
  end.open();
  await Promise.all([one, two, three]);
  t.is(await namesOf(db), 'a b c');
});

test('what is left over when a scope ends is refused', async (t) => {
  const { pool, db } = await openKysely(t);
  const over = gate();
  let left: Promise<unknown> | undefined;
  await t.throwsAsync(
    pool.transaction(async () => {
      await add(db, 'a');
      left = over.passed.then(() => add(db, 'b'));
      throw new Error('enough');
    }),
    { message: 'enough' },
  );
  over.open();
  await t.throwsAsync(left ?? Promise.resolve(), refusal('TRANSACTION_ENDED'));
  t.is(await namesOf(db), '');
});

test('a private database of one connection serves queries and transactions alike', async (t) => {
  const { pool, db } = await openKysely(t, { file: ':memory:' });
  await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      db.transaction().execute(async (trx) => {
        await add(trx, name);
        await settled();
        await add(db, name);
      }),
    ),
  );
  t.is(await namesOf(db), 'a a b b c c');
  isIdle(t, pool);
});

// Node.js carries the async context in one of two ways, which differ in what `enterWith` reaches.

const adapterUrl = new URL(`../../lib/orm/kysely${extname(import.meta.url)}`, import.meta.url).href;

const program = `
  import { strictEqual } from 'node:assert';
  import { Kysely } from ${JSON.stringify(import.meta.resolve('kysely'))};
  import { createPool } from ${JSON.stringify(libraryUrl)};
  import { LeaseholdDialect } from ${JSON.stringify(adapterUrl)};
  const pool = createPool(process.argv[1], { acquireTimeout: 10_000 });
  const db = new Kysely({ dialect: new LeaseholdDialect({ pool }) });
  await db.schema.createTable('item').addColumn('name', 'text').execute();
  const add = (on, name) => on.insertInto('item').values({ name }).execute();
  const names = async (on) => (await on.selectFrom('item').select('name').orderBy('name').execute()).map((row) => row.name).join('');
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  const one = (name) => db.transaction().execute(async (trx) => {
    await add(trx, name);
    await turn();
    await add(db, name);
    await turn();
    await pool.run('INSERT INTO item VALUES (?)', [name]);
    strictEqual((await names(db)).split(name).length, 4);
    strictEqual(pool.stats().leased, 1);
  });
  const running = [one('a'), one('b')];
  strictEqual(pool.current, undefined);
  await Promise.all(running);
  strictEqual(pool.current, undefined);
  await add(db, 'c');

  await db.connection().execute(async (kept) => {
    await kept.transaction().execute((trx) => add(trx, 'd'));
    strictEqual(pool.current, undefined);
    await add(db, 'e');
  });
  const controlled = await db.startTransaction().execute();
  await add(controlled, 'f');
  strictEqual(pool.current, undefined);
  strictEqual(await names(db), 'aaabbbcde');
  await controlled.rollback().execute();

  let seen = '';
  await db.transaction().execute(async () => {
    for await (const { name } of db.selectFrom('item').select('name').orderBy('name').stream(2)) {
      seen += name;
      await add(db, 'x');
    }
  });
  strictEqual(seen, 'aaabbbcde');
  let left;
  await db.transaction().execute(async () => {
    left = turn().then(() => add(db, 'y')).catch((error) => error.code);
  });
  strictEqual(await left, 'ERR_LEASEHOLD_TRANSACTION_ENDED');
  strictEqual(await names(db), 'aaabbbcdexxxxxxxxx');
  await db.destroy();
  console.log('done');`;

for (const flag of ['--async-context-frame', '--no-async-context-frame']) {
  test(`who is inside a transaction is told alike with ${flag}`, async (t) => {
    const isKnown = process.allowedNodeEnvironmentFlags.has(flag);
    const args = [...(isKnown ? [flag] : []), '--input-type=module', '-e', program, temporaryFile(t)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => void child.kill('SIGKILL'));
    const [told, complaints, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    t.is(complaints.replaceAll(/.*ExperimentalWarning.*\n|\(Use `node .*\n/g, ''), '');
    t.is(told, 'done\n');
    t.is(code, 0);
  });
}
