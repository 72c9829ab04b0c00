import test from 'ava';
import type Database from 'better-sqlite3';
import { heldLane, outlived } from '../support/dangling.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';
import { neighbours, turnsUntil } from '../support/processes.ts';
import { temporaryPool } from '../support/sqlite.ts';

const empty = { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 };
const insertBolt = "INSERT INTO item VALUES ('bolt')";

test('its function has a statement to do with as it wants, and its result passes through', async (t) => {
  const pool = await openItems(t);
  t.is(await pool.withStatement('INSERT INTO item VALUES (?)', (statement) => statement.run('bolt').changes), 1);
  const rows = await pool.withStatement('SELECT name FROM item', (statement) => statement.raw().all());
  t.deepEqual(rows, [['bolt']]);
  const columns = await pool.withStatement('SELECT name FROM item', (statement) => statement.columns());
  t.like(columns, { 0: { name: 'name', table: 'item' }, length: 1 });
  t.deepEqual(
    await pool.withStatement('SELECT name FROM item', (statement) => Promise.resolve(statement.pluck().all())),
    ['bolt'],
  );
  t.like(pool.stats(), empty);
});

test('those who know only by looking at it what to do may look first', async (t) => {
  const pool = await openItems(t);
  const execute = (sql: string) =>
    pool.withStatement(sql, (statement) => (statement.reader ? statement.all() : statement.run().changes));
  t.is(await execute(insertBolt), 1);
  t.deepEqual(await execute("INSERT INTO item VALUES ('nut') RETURNING name"), [{ name: 'nut' }]);
  t.deepEqual(await execute('SELECT count(*) AS n FROM item'), [{ n: 2 }]);
});

test('what is set on the statement does not show through to the next who has the same SQL', async (t) => {
  const pool = await openItems(t, { max: 1 });
  await pool.run(insertBolt);
  const sql = 'SELECT name FROM item';
  await pool.withStatement(sql, (statement) => statement.pluck().all());
  t.deepEqual(await pool.withStatement(sql, (statement) => statement.all()), [{ name: 'bolt' }]);
  t.deepEqual(await pool.all(sql), [{ name: 'bolt' }]);
});

test('what it throws passes through unchanged, and the connection comes back', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const thrown = new Enough();
  const throwing = () => {
    throw thrown;
  };
  for (const sql of [insertBolt, 'SELECT 1']) {
    t.is(await t.throwsAsync(pool.withStatement(sql, throwing)), thrown);
    t.is(await t.throwsAsync(pool.withStatement(sql, () => Promise.reject(thrown))), thrown);
    await t.throwsAsync(
      pool.withConnection(() => pool.withStatement(sql, throwing)),
      { instanceOf: Enough },
    );
  }
  await t.throwsAsync(
    pool.withStatement('SELECT ?', (statement) => statement.get()),
    { instanceOf: RangeError },
  );
  t.like(pool.stats(), empty);
  t.deepEqual(await namesIn(pool), []);
});

test('SQL and functions that are none are refused, and nothing is kept', async (t) => {
  const pool = await openItems(t);
  await t.throwsAsync(pool.withStatement('SELECT 1', undefined as never), refusal('OPTIONS'));
  await t.throwsAsync(
    pool.withStatement('SELECT 1', () => {}, { lable: 'x' } as never),
    refusal('OPTIONS'),
  );
  await t.throwsAsync(
    pool.withStatement(undefined as never, () => {}),
    { instanceOf: TypeError },
  );
  await t.throwsAsync(
    pool.withStatement('SELEC 1', () => {}),
    { code: 'SQLITE_ERROR' },
  );
  await t.throwsAsync(
    pool.withStatement('SELECT 1; SELECT 2', () => {}),
    { instanceOf: RangeError },
  );
  await t.throwsAsync(
    pool.withStatement('', () => {}),
    { instanceOf: RangeError },
  );
  t.like(pool.stats(), empty);
});

test('it may be used until its function has settled, and no longer', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const done = gate();
  let kept: Database.Statement | undefined;
  const using = pool.withStatement('SELECT 1 AS n', async (statement) => {
    kept = statement;
    await done.passed;
    return statement.get();
  });
  await settled();
  t.is(pool.stats().leased, 1);
  done.open();
  t.deepEqual(await using, { n: 1 });
  t.throws(() => kept?.get(), refusal('RELEASED'));
});

test('an iterator that was left open is returned with the connection', async (t) => {
  const pool = await openItems(t, { max: 1 });
  await pool.run("INSERT INTO item VALUES ('bolt'), ('nut')");
  const rows = await pool.withStatement('SELECT name FROM item', (statement) => {
    const iterator = statement.iterate();
    iterator.next();
    return { iterator };
  });
  t.throws(() => rows.iterator.next(), refusal('RELEASED'));
  await pool.run(insertBolt);
  t.like(pool.stats(), empty);
});

test('rows can be streamed: the connection is held until the function has seen the last', async (t) => {
  const pool = await openItems(t);
  await pool.run("INSERT INTO item VALUES ('bolt'), ('nut'), ('washer')");
  const names: unknown[] = [];
  await pool.withStatement('SELECT name FROM item', async (statement) => {
    for (const name of statement.pluck().iterate()) {
      names.push(name);
      await pool.run('INSERT INTO item VALUES (?)', [`${String(name)} too`]);
    }
  });
  // Its snapshot is that of its first step.
  t.deepEqual(names, ['bolt', 'nut', 'washer']);
  t.is((await namesIn(pool)).length, 6);
});

test('in a scope it runs on the connection of that, in its transaction', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async () => {
    await pool.withStatement(insertBolt, (statement) => statement.run());
    t.is(pool.stats().leased, 1);
  });
  const failed = pool.transaction(async () => {
    await pool.withStatement(insertBolt, (statement) => statement.run());
    t.is(await pool.withStatement('SELECT count(*) FROM item', (statement) => statement.pluck().get()), 2);
    throw new Enough();
  });
  await t.throwsAsync(failed, { instanceOf: Enough });
  t.deepEqual(await namesIn(pool), ['bolt']);
  const tx = await pool.openTransaction().begun;
  await tx.run(() => pool.withStatement(insertBolt, (statement) => statement.run()));
  await tx.rollback();
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('what writes waits for its turn, and what reads does not', async (t) => {
  const pool = await openItems(t);
  const release = await heldLane(t, pool);
  let ran = false;
  const writing = pool.withStatement(insertBolt, (statement) => {
    ran = true;
    return statement.run();
  });
  t.is(await pool.withStatement('SELECT 1', (statement) => statement.pluck().get()), 1);
  t.false(ran);
  t.is(pool.stats().laneWaiting, 1);
  await release();
  await writing;
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('a turn that does not come in time, is aborted or closed is told, and the function not called', async (t) => {
  const pool = await openItems(t, { maxWaiting: 2 });
  const release = await heldLane(t, pool);
  const controller = new AbortController();
  const call = (options?: Parameters<typeof pool.withStatement>[2]) =>
    pool.withStatement(insertBolt, () => t.fail(), options);
  await t.throwsAsync(call({ timeout: 10, label: 'late' }), refusal('WRITE_TIMEOUT'));
  await t.throwsAsync(call({ signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
  const aborted = t.throwsAsync(call({ signal: controller.signal }), { code: 'ABORT_ERR' });
  const closed = t.throwsAsync(call(), refusal('CLOSED'));
  await t.throwsAsync(call(), refusal('QUEUE_FULL'));
  controller.abort();
  await aborted;
  const closing = pool.close();
  await closed;
  await release();
  await closing;
  await t.throwsAsync(call(), refusal('CLOSED'));
});

test('where nothing can be written it says so', async (t) => {
  const file = temporaryFile(t);
  const writer = temporaryPool(t, {}, file);
  await writer.run('CREATE TABLE item (name TEXT)');
  const pool = temporaryPool(t, { readonly: true }, file);
  await t.throwsAsync(
    pool.withStatement(insertBolt, (statement) => statement.run()),
    { code: 'SQLITE_READONLY' },
  );
  const snapshot = writer.read(() => writer.withStatement(insertBolt, (statement) => statement.run()));
  await t.throwsAsync(snapshot, refusal('READ_ONLY'));
  t.is(await pool.withStatement('SELECT count(*) FROM item', (statement) => statement.pluck().get()), 0);
});

test('while another process writes, the function is called again until it gets through', async (t) => {
  const { pool, other, refusals } = await neighbours(t);
  await other.exec('BEGIN IMMEDIATE');
  const before = refusals();
  let calls = 0;
  const written = pool.withStatement('INSERT INTO n VALUES (2)', (statement) => {
    calls++;
    return statement.run().changes;
  });
  await turnsUntil(() => refusals() > before + 1);
  await other.exec('COMMIT');
  t.is(await written, 1);
  t.true(calls > 2);
  t.is(await other.value('SELECT count(*) FROM n'), 2);
});

test('a function of one that writes that awaits another write is refused by its deadline, and told who writes', async (t) => {
  const pool = await openItems(t, { acquireTimeout: 500 });
  const refused = pool.withStatement(insertBolt, () => pool.run(insertBolt, [], { label: 'inner' }), {
    label: 'outer',
  });
  const error = await t.throwsAsync(refused, refusal('WRITE_TIMEOUT'));
  t.like(error, { holder: { kind: 'statement', label: 'outer' } });
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('what is left over of a transaction or a scope is refused', async (t) => {
  const pool = await openItems(t);
  let left: Promise<unknown> | undefined;
  await pool.transaction(async (tx) => {
    insert(tx, 'kept');
    left = settled().then(() => pool.withStatement(insertBolt, (statement) => statement.run()));
  });
  await outlived(t, left as Promise<unknown>, 'TRANSACTION_ENDED');
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('in memory it shares the one connection', async (t) => {
  const pool = temporaryPool(t, {}, ':memory:');
  await pool.run('CREATE TABLE item (name TEXT)');
  await pool.withStatement(insertBolt, (statement) => statement.run());
  t.deepEqual(await pool.withStatement('SELECT name FROM item', (statement) => statement.pluck().all()), ['bolt']);
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});
