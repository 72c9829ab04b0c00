import { once } from 'node:events';
import test from 'ava';
import { to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import { openPostgres } from '../support/postgres-items.ts';

/** What nobody wakes. */
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Each answer is that of its own question, also on the connection that the holder before has left. */
async function answersItself(t: Parameters<typeof openPostgres>[0], pool: Awaited<ReturnType<typeof openPostgres>>) {
  for (let number = 1; number <= 5; number++) {
    const { rows } = await pool.query(`SELECT ${number} AS number`).catch((error: { code?: string }) => {
      // A busy server may take longer than it is allowed to. What it says is an answer to this all the same.
      if (error.code !== '57014') throw error;
      return { rows: [{ number }] };
    });
    t.deepEqual(rows, [{ number }]);
  }
}

test('a cursor that is ended while the server refuses what it has done gets one answer, and nobody else’s', async (t) => {
  const pool = await openPostgres(t, { max: 1 });
  await pool.query('CREATE TABLE slow (a int)');
  await pool.query(
    'CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$',
  );
  await pool.query(
    'CREATE CONSTRAINT TRIGGER lingers AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()',
  );
  for (let round = 0; round < 5; round++) {
    await pool.withConnection(async (db) => {
      const rows = db.iterate('INSERT INTO slow SELECT generate_series(1, 5) RETURNING a', [], { batch: 1 });
      await rows.next();
    });
    await answersItself(t, pool);
  }
});

test('so does one whose end and the server’s own error cross on their way', async (t) => {
  const pool = await openPostgres(t, { max: 1, settings: { statement_timeout: '40ms' } });
  for (let round = 0; round < 40; round++) {
    await pool
      .withConnection(async (db) => {
        const rows = db.iterate('SELECT generate_series(1, 1000)', [], { batch: 1 });
        await rows.next();
        // The thread sleeps, so that the error is there, and not read yet.
        Atomics.wait(nobody, 0, 0, 38 + (round % 10) / 2);
      })
      .catch(() => {});
    await answersItself(t, pool);
  }
});

test('a cursor that its owner closes twice costs at most its connection', async (t) => {
  const pool = await openPostgres(t, { max: 1 });
  for (let round = 0; round < 10; round++) {
    await pool.withConnection(async (db) => {
      const cursor = db.query(new Cursor('SELECT generate_series(1, 100)'));
      await cursor.read(1);
      const reading = cursor.read(1).catch(() => {});
      const closing = [cursor.close(), cursor.close()];
      await Promise.race([
        Promise.all([reading, ...closing]).catch(() => {}),
        new Promise((resolve) => void setTimeout(resolve, 50)),
      ]);
    });
    await answersItself(t, pool);
  }
});

test('a copy that is destroyed before its turn is never begun, and holds up nobody', async (t) => {
  const pool = await openPostgres(t, { max: 1 });
  await pool.withConnection(async (db) => {
    const before = db.query('SELECT pg_sleep(0.05)');
    const copying = db.query(copyTo('COPY (SELECT generate_series(1, 300000)) TO STDOUT'));
    copying.on('error', () => {});
    copying.destroy();
    await once(copying, 'close');
    await before;
    t.deepEqual((await db.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
  await answersItself(t, pool);
  t.like(pool.stats(), { leased: 0, size: 1 });
});
