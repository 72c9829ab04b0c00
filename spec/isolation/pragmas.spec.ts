import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { onlyConnection } from '../support/sqlite.ts';
import { auditedPool, fingerprint, isIdle } from './fingerprint.ts';
import { handOns } from './hand-ons.ts';
import { kinds } from './kinds.ts';
import { leavesNothing, leavings, statements } from './leavings.ts';
import { judged } from './pragmas.ts';
import { type Leave, statementWays, type Way, ways } from './ways.ts';

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

// A read-only pool has connections with a state of their own, though none can write to the file.

/** These are what they are by writing to the file. */
const writing = new Set(['a transaction that holds the write lock']);

// SQLite would not do these without writing to the file.
const unchangeable = new Set(['journal_mode']);

for (const [name, { onOpen, leave, shows, traces }] of Object.entries(kinds)) {
  if (writing.has(name)) continue;
  test.serial(`${name} does not reach the next holder of a read-only pool`, async (t) => {
    for (const way of ['an idle connection', 'a waiter', 'a snapshot']) {
      const [file, directory] = [temporaryFile(t), temporaryDirectory(t)];
      const writer = auditedPool(t, { onOpen: (db) => onOpen?.(db, directory) }, file);
      await writer.pool.withConnection(() => 0);
      const { pool, dirt } = auditedPool(t, { readonly: true, onOpen: (db) => onOpen?.(db, directory) }, file);
      const look = (db: LeasedDatabase) => ({ shown: shows(db), ...fingerprint(db) });
      const { run } = handOns[way] ?? t.fail();
      const before = await run(pool, () => {}, look);
      const leaving = (db: LeasedDatabase) => {
        const was = shows(db);
        leave(db, directory);
        t.notDeepEqual(shows(db), was, `${way}: it was there`);
      };
      t.deepEqual(await run(pool, leaving, look), before, way);
      t.deepEqual(
        dirt.map((event) => event.traces),
        [traces],
        way,
      );
      isIdle(t, pool, way);
      t.deepEqual(writer.dirt, []);
      await pool.close();
      await writer.pool.close();
    }
  });
}

test('no pragma that was set shows to the next holder of a read-only pool', async (t) => {
  const file = temporaryFile(t);
  await auditedPool(t, {}, file).pool.withConnection(() => 0);
  const { pool, dirt } = auditedPool(t, { readonly: true }, file);
  const before = await pool.withConnection(fingerprint);
  let set = 0;
  for (const [name, { value }] of judged('connection')) {
    if (unchangeable.has(name)) continue;
    await pool.withConnection((db) => db.pragma(`${name} = ${value}`));
    t.deepEqual(await pool.withConnection(fingerprint), before, name);
    t.deepEqual(dirt.at(-1)?.traces, [`pragma ${name}`]);
    set++;
  }
  t.is(dirt.length, set);
});

const table = 'temporary table stray';

// A transaction that is rolled back takes its temporary tables with it, and nothing else of all this.
const undoesTables = /rolled back|that fails|nobody ended/;

async function byWay(t: ExecutionContext, name: string, way: Way): Promise<void> {
  const isSnapshot = name === 'a snapshot';
  if (isSnapshot) {
    const making = way(auditedPool(t).pool, (db) => leavings[table]?.(db));
    await t.throwsAsync(making, { code: 'ERR_LEASEHOLD_READ_ONLY' }, 'A snapshot has no temporary tables');
  }
  const left = Object.entries(leavings).filter(([trace]) => !(isSnapshot && trace === table));
  const traces = left.map(([trace]) => trace).filter((trace) => !(undoesTables.test(name) && trace === table));
  const leaveAll: Leave = (db) => {
    for (const [, leave] of left) leave(db);
  };
  await leavesNothing(t, (pool) => way(pool, leaveAll), traces);
}

for (const [name, way] of Object.entries(ways)) {
  test.serial(`what is left by way of ${name} does not reach the next holder`, (t) => byWay(t, name, way));
}

for (const [name, way] of Object.entries(statementWays)) {
  test.serial(`what is left by ${name} does not reach the next holder`, async (t) => {
    for (const [sql, trace] of Object.entries(statements)) await leavesNothing(t, (pool) => way(pool, sql), [trace]);
  });
}

// These refuse what returns no rows. By then a pragma has been set.
const asking: Readonly<Record<string, (pool: SqlitePool, sql: string) => Promise<unknown>>> = {
  'pool.get()': (pool, sql) => pool.get(sql),
  'pool.all()': (pool, sql) => pool.all(sql),
};

for (const [name, ask] of Object.entries(asking)) {
  test.serial(`what is left by ${name} does not reach the next holder, also where the call fails`, async (t) => {
    await leavesNothing(t, (pool) => ask(pool, 'PRAGMA journal_size_limit = 4096'), ['pragma journal_size_limit']);
    const failing = (pool: SqlitePool) =>
      t.throwsAsync(ask(pool, 'PRAGMA cache_size = 321'), { message: /does not return data/ });
    await leavesNothing(t, failing, ['pragma cache_size']);
  });
}
