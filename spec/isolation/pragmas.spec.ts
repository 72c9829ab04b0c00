import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { onlyConnection } from '../support/sqlite.ts';
import { auditedPool, fingerprint, isIdle } from './fingerprint.ts';
import { handOns } from './hand-ons.ts';
import { judged } from './pragmas.ts';

/** What a setting that has no name to be read by does. */
const effects: Readonly<Record<string, (db: LeasedDatabase) => unknown>> = {
  case_sensitive_like: (db) => db.prepare("SELECT 'a' LIKE 'A'").all(),
};

async function passesOnNo(t: ExecutionContext, name: string, value: unknown, unsafe = false): Promise<void> {
  const shows = effects[name] ?? ((db: LeasedDatabase) => db.pragma(name));
  for (const way of ['an idle connection', 'a waiter', "a transaction on the lane's own connection"]) {
    const { options, run } = handOns[way] ?? t.fail();
    const { pool, dirt } = auditedPool(t, options);
    const look = (db: LeasedDatabase) => ({ shown: shows(db), ...fingerprint(db) });
    const before = await run(pool, () => {}, look);
    const leave = (db: LeasedDatabase) => {
      const was = shows(db);
      if (unsafe) db.unsafeMode();
      db.pragma(`${name} = ${String(value)}`);
      t.notDeepEqual(shows(db), was, `${way}: it was set`);
    };
    t.deepEqual(await run(pool, leave, look), before, way);
    t.deepEqual(
      dirt.map(({ traces }) => traces),
      [[...(unsafe ? ['unsafeMode'] : []), `pragma ${name}`]],
      way,
    );
    isIdle(t, pool, way);
    await pool.close();
  }
}

for (const [name, { value, unsafe }] of judged('connection')) {
  test.serial(`the pragma ${name} does not reach the next holder`, (t) => passesOnNo(t, name, value, unsafe));
}

test('a pragma that takes effect with a later VACUUM takes none for the next holder', async (t) => {
  const { pool, dirt } = auditedPool(t);
  for (const [name, { value }] of judged('file, later')) {
    const first = await pool.withConnection((db) => {
      db.pragma(`${name} = ${value}`);
      return onlyConnection(pool);
    });
    t.not(await pool.withConnection(() => onlyConnection(pool)), first, name);
    t.deepEqual(dirt.at(-1)?.traces, [`pragma ${name}`]);
  }
});

const size = (db: LeasedDatabase) => db.pragma('page_size', { simple: true });

test('a page size that a holder asked for is not that of the VACUUM of the next', async (t) => {
  const { pool } = auditedPool(t, { pragmas: { journal_mode: 'delete' } });
  t.is(await pool.withConnection(size), 4096);
  await pool.withConnection((db) => db.pragma('page_size = 8192'));
  await pool.withConnection((db) => {
    db.exec('VACUUM');
    t.is(size(db), 4096);
  });
  await pool.withConnection((db) => {
    db.pragma('page_size = 8192');
    db.exec('VACUUM');
    t.is(size(db), 8192, 'It would have been, for the holder himself');
  });
});

test('what a pragma has written to the file is there for everybody, and the connection stays', async (t) => {
  const { pool, dirt } = auditedPool(t);
  const first = await pool.withConnection(() => onlyConnection(pool));
  for (const [name, { value, unsafe }] of judged('file')) {
    await pool.withConnection((db) => db.pragma(`${name} = ${value}`));
    await pool.withConnection((db) => {
      t.is(db.pragma(name, { simple: true }) === value, unsafe !== true, name);
      t.is(onlyConnection(pool), first, name);
    });
  }
  t.deepEqual(dirt, []);
});

test('a pragma that asks leaves nothing, and the connection stays', async (t) => {
  const { pool, dirt } = auditedPool(t);
  const before = await pool.withConnection(fingerprint);
  const first = await pool.withConnection(() => onlyConnection(pool));
  for (const [name, { texts }] of judged('nothing')) {
    for (const text of texts) {
      await pool.withConnection((db) => db.pragma(text));
      await pool.withConnection((db) => {
        t.deepEqual(fingerprint(db), before, text);
        t.is(onlyConnection(pool), first, `${name}: ${text}`);
      });
    }
  }
  t.deepEqual(dirt, []);
});

test('every pragma that is read leaves nothing, and the connection stays', async (t) => {
  const { pool, dirt } = auditedPool(t);
  const before = await pool.withConnection(fingerprint);
  for (const [name] of [...judged('connection'), ...judged('file'), ...judged('file, later'), ...judged('process')]) {
    for (const text of [name, `main.${name}`]) await pool.withConnection((db) => db.pragma(text));
  }
  t.deepEqual(await pool.withConnection(fingerprint), before);
  t.deepEqual(dirt, []);
  t.is(pool.stats().counters.opened, 1);
});
