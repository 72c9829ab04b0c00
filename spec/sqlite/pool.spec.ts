import test from 'ava';
import Database from 'better-sqlite3';
import { createPool } from '../../lib/create-pool.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { sample, temporaryPool, wrong } from '../support/sqlite.ts';

test('createPool makes a SqlitePool', (t) => {
  t.true(createPool('app.db') instanceof SqlitePool);
});

test('get gives the first row, all gives every row, run gives what changed', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => db.exec(sample));
  t.deepEqual(await pool.get('SELECT id, name FROM item ORDER BY id'), { id: 1, name: 'bolt' });
  t.is(await pool.get('SELECT * FROM item WHERE id = 99'), undefined);
  t.deepEqual(await pool.all('SELECT name FROM tag ORDER BY name'), [{ name: 'rubber' }, { name: 'steel' }]);
  t.deepEqual(await pool.all('SELECT * FROM item WHERE id = 99'), []);
  t.deepEqual(await pool.run("INSERT INTO item (name) VALUES ('cog')"), { changes: 1, lastInsertRowid: 4 });
  t.deepEqual(await pool.run('DELETE FROM tag'), { changes: 2, lastInsertRowid: 4 });
  t.deepEqual(await pool.get("INSERT INTO item (name) VALUES ('cam') RETURNING id"), { id: 5 });
});

test('values are bound by position from an array, by name from an object, or not at all', async (t) => {
  const pool = temporaryPool(t);
  const positional = 'SELECT ? AS a, ? AS b';
  const named = 'SELECT @a AS a, :b AS b';
  const both = { a: 1, b: 'two' };
  t.deepEqual(await pool.get(positional, [1, 'two']), both);
  t.deepEqual(await pool.get(named, both), both);
  t.deepEqual(await pool.get('SELECT ? AS a, @b AS b', [1, { b: 'two' }]), both);
  t.deepEqual(await pool.all(positional, [1, 'two']), [both]);
  t.deepEqual(await pool.all(named, Object.freeze({ ...both, unused: 3 })), [both]);
  t.deepEqual(await pool.get('SELECT 1 AS a', []), { a: 1 });
  t.deepEqual(await pool.get('SELECT 1 AS a', {}), { a: 1 });
  t.deepEqual(await pool.get('SELECT 1 AS a', undefined), { a: 1 });
  t.deepEqual(await pool.get('SELECT ? AS a', [Buffer.from('x')]), { a: Buffer.from('x') });
  await pool.run('CREATE TABLE a (x, y)');
  t.is((await pool.run('INSERT INTO a VALUES (?, ?)', [1, null])).changes, 1);
  t.is((await pool.run('INSERT INTO a VALUES (@x, @y)', { x: 2n, y: 1.5 })).changes, 1);
  t.deepEqual(await pool.all('SELECT * FROM a'), [
    { x: 1, y: null },
    { x: 2, y: 1.5 },
  ]);
});

test('errors of the statement reject, as better-sqlite3 words them', async (t) => {
  const pool = temporaryPool(t);
  await pool.withConnection((db) => db.exec(sample));
  await t.throwsAsync(pool.get('SELECT * FROM missing'), { instanceOf: Database.SqliteError, code: 'SQLITE_ERROR' });
  await t.throwsAsync(pool.run("INSERT INTO tag VALUES (1, 'steel')"), { code: 'SQLITE_CONSTRAINT_UNIQUE' });
  await t.throwsAsync(pool.get('SELECT ?'), {
    instanceOf: RangeError,
    message: 'Too few parameter values were provided',
  });
  await t.throwsAsync(pool.get('SELECT @a', {}), { instanceOf: RangeError, message: 'Missing named parameter "a"' });
  await t.throwsAsync(pool.all('DELETE FROM tag'), {
    instanceOf: TypeError,
    message: 'This statement does not return data. Use run() instead',
  });
  await t.throwsAsync(pool.get(wrong(undefined)), {
    instanceOf: TypeError,
    message: 'Expected first argument to be a string',
  });
  t.like(pool.stats(), { leased: 0, idle: pool.stats().size });
});

test('a COMMIT that fails after the row was there rejects, and the row was not written', async (t) => {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE p (id INTEGER PRIMARY KEY)');
  await pool.run('CREATE TABLE c (p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)');
  for (const call of [pool.get.bind(pool), pool.all.bind(pool)]) {
    await t.throwsAsync(call('INSERT INTO c VALUES (9) RETURNING p'), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' });
  }
  t.deepEqual(await pool.all('SELECT * FROM c'), []);
  t.deepEqual(await pool.get('INSERT INTO p VALUES (9) RETURNING id'), { id: 9 });
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
});

test('a value that was bound never shows in an error', async (t) => {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE a (x UNIQUE CHECK (x > 7))');
  const failures = [
    pool.run('INSERT INTO a VALUES (?)', ['hunter2', 'hunter2']),
    pool.run('INSERT INTO a VALUES (@secret)', { hunter2: 'hunter2' }),
    pool.run('INSERT INTO a SELECT ? UNION ALL SELECT 3', ['hunter2']),
    pool.run('INSERT INTO a VALUES (?)', [Symbol('hunter2')]),
  ];
  for (const failure of failures) {
    const error = await t.throwsAsync(failure);
    t.false(`${error?.message} ${error?.stack}`.includes('hunter2'));
  }
});

test('outside a scope each call takes a connection for itself, and gives it back', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.run('CREATE TABLE a (x)');
  for (let call = 0; call < 3; call++) await pool.all('SELECT * FROM a');
  // That of the write lane, and one that reads.
  t.like(pool.stats(), { leased: 0, idle: 2 });
  t.is(pool.stats().counters.acquired, 4);
  const db = await pool.acquire();
  await t.throwsAsync(pool.get('SELECT 1', [], { timeout: 5, label: 'impatient' }), {
    code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
    message: /impatient/,
  });
  const aborted = AbortSignal.abort();
  await t.throwsAsync(pool.get('SELECT 1', [], { signal: aborted }), { code: 'ABORT_ERR' });
  db.close();
});

test('in a scope that holds a connection each call uses that one', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  await pool.withConnection(async (db) => {
    db.exec('CREATE TABLE a (x); BEGIN; INSERT INTO a VALUES (1)');
    t.deepEqual(await pool.get('SELECT * FROM a'), { x: 1 });
    t.is((await pool.run('INSERT INTO a VALUES (2)')).changes, 1);
    t.deepEqual(await pool.all('SELECT x FROM a'), [{ x: 1 }, { x: 2 }]);
    db.exec('ROLLBACK');
    t.is(pool.stats().counters.acquired, 1);
  });
});

test('wrong options reject', async (t) => {
  const pool = temporaryPool(t);
  for (const options of [{ lable: 'x' }, { timeout: 0 }, { priority: 'high' }, 'fast', null]) {
    await t.throwsAsync(async () => pool.get('SELECT 1', [], wrong(options)), { code: 'ERR_LEASEHOLD_OPTIONS' });
  }
  t.is(pool.stats().counters.acquired, 0);
});

test('a call that returns a promise never throws', async (t) => {
  const pool = temporaryPool(t);
  const options = wrong({ lable: 'x' });
  for (const call of [
    () => pool.get('SELECT 1', [], options),
    () => pool.all('SELECT 1', [], options),
    () => pool.run('SELECT 1', [], options),
    () => pool.checkpoint('passive', options),
  ]) {
    let promise: Promise<unknown> = Promise.resolve();
    t.notThrows(() => {
      promise = call();
    });
    await t.throwsAsync(promise, { code: 'ERR_LEASEHOLD_OPTIONS' });
  }
});

test('a closed pool refuses', async (t) => {
  const pool = temporaryPool(t);
  await pool.get('SELECT 1');
  await pool.close();
  for (const call of [() => pool.get('SELECT 1'), () => pool.run('SELECT 1'), () => pool.checkpoint()]) {
    await t.throwsAsync(call, { code: 'ERR_LEASEHOLD_CLOSED' });
  }
});
