import test from 'ava';
import type Database from 'better-sqlite3';
import type { LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { loosely, rawDatabase } from '../support/sqlite.ts';
import { auditedPool, fingerprint, refuses } from './fingerprint.ts';
import { leavesNothing, leavings, look } from './leavings.ts';
import { judged, pragmas } from './pragmas.ts';
import {
  collations,
  databaseMethods,
  databaseProperties,
  features,
  functions,
  iteratorMethods,
  iteratorProperties,
  modules,
  statementMethods,
  statementProperties,
} from './surface.ts';
import type { Leave } from './ways.ts';

// The tables of this audit against what the build and better-sqlite3 list of themselves.

const column = (db: Database.Database, sql: string) => (db.prepare(sql).pluck().all() as string[]).toSorted();
const namesOf = (table: object) => Object.keys(table).toSorted();

/** Methods and getters of a class, and the properties each object of it has. */
function surfaceOf(object: object, known: readonly string[]): { methods: string[]; properties: string[] } {
  const prototype = Object.getPrototypeOf(object) as object;
  const names = new Set([...Object.getOwnPropertyNames(prototype), ...Object.getOwnPropertyNames(object)]);
  names.delete('constructor');
  const isMethod = (name: string) => typeof Reflect.get(object, name) === 'function';
  return {
    methods: [...names].filter(isMethod).toSorted(),
    // What is of a native object does not always list itself.
    properties: [...new Set([...names, ...known])].filter((name) => name in object && !isMethod(name)).toSorted(),
  };
}

test('every pragma of the build is judged', (t) => {
  t.deepEqual(column(rawDatabase(t), 'SELECT name FROM pragma_pragma_list'), namesOf(pragmas));
});

test('every function of the build is judged', (t) => {
  const listed = column(rawDatabase(t), 'SELECT DISTINCT name FROM pragma_function_list');
  t.deepEqual(listed, Object.values(functions).flat().toSorted());
});

test('every module and collation of the build is judged, and every feature it was built with', (t) => {
  const db = rawDatabase(t);
  t.deepEqual(column(db, "SELECT name FROM pragma_module_list WHERE name NOT GLOB 'pragma_*'"), modules);
  t.deepEqual(column(db, 'SELECT name FROM pragma_collation_list'), collations);
  const built =
    "SELECT * FROM pragma_compile_options WHERE compile_options GLOB 'ENABLE_*' OR compile_options GLOB 'OMIT_*'";
  t.deepEqual(column(db, built), features);
});

test('every method and property of better-sqlite3 is judged', (t) => {
  const db = rawDatabase(t);
  const statement = db.prepare('SELECT 1');
  const iterator = statement.iterate();
  t.teardown(() => void iterator.return?.());
  t.deepEqual(surfaceOf(db, databaseProperties), {
    methods: namesOf(databaseMethods),
    properties: databaseProperties,
  });
  t.deepEqual(surfaceOf(statement, statementProperties), {
    methods: namesOf(statementMethods),
    properties: statementProperties,
  });
  t.deepEqual(surfaceOf(iterator, iteratorProperties), { methods: iteratorMethods, properties: iteratorProperties });
});

test('no property of a better-sqlite3 handle can be set, so none carries anything over', (t) => {
  const db = rawDatabase(t);
  for (const name of databaseProperties) {
    const before: unknown = Reflect.get(db, name);
    Reflect.set(db, name, 'stray');
    t.is(Reflect.get(db, name), before, name);
  }
});

test('load_extension() is refused to SQL, also after loadExtension()', (t) => {
  const db = rawDatabase(t);
  const load = () => db.prepare("SELECT load_extension('/missing')").get();
  t.throws(load, { message: 'not authorized' });
  t.throws(() => loosely(db, 'loadExtension', ['/missing']), { code: 'SQLITE_ERROR' });
  t.throws(load, { message: 'not authorized' });
});

// A query is not looked into, so nothing in it may set anything. SQLite gives the side effects of these no argument.
test('no pragma sets anything as a function of a query', (t) => {
  const db = rawDatabase(t);
  db.exec('CREATE TABLE tag (name); CREATE VIRTUAL TABLE words USING fts5 (word)');
  const before = fingerprint(db);
  let ran = 0;
  for (const [name, judgement] of [...judged('connection'), ...judged('file'), ...judged('file, later')]) {
    const value = String(judgement.value).replace(/^'|'$/g, '');
    for (const call of [`('${value}')`, `('main', '${value}')`, `('${value}', 'main')`, '', "('temp')"]) {
      if (!refuses(() => db.prepare(`SELECT * FROM pragma_${name}${call}`).all())) ran++;
      t.deepEqual(fingerprint(db), before, `pragma_${name}${call}`);
    }
  }
  t.true(ran > 30, 'Some of these can be called');
  for (const [name] of judged('process'))
    t.true(
      refuses(() => db.prepare(`SELECT * FROM pragma_${name}(1)`)),
      name,
    );
});

test('what the onAcquire hook has set is for that lease alone', async (t) => {
  let leave: Leave | undefined;
  const once = (db: LeasedDatabase) => {
    const now = leave;
    leave = undefined;
    return void now?.(db);
  };
  for (const [trace, leaving] of Object.entries(leavings)) {
    leave = undefined;
    const setsOnce = async (pool: SqlitePool) => {
      leave = leaving;
      await pool.withConnection(() => 0);
    };
    await leavesNothing(t, setsOnce, [trace], { onAcquire: once });
  }
});

test('what the onRelease hook has set does not reach the next holder', async (t) => {
  let leave: Leave | undefined;
  for (const [trace, leaving] of Object.entries(leavings)) {
    const onRelease = (db: LeasedDatabase) => {
      const now = leave;
      leave = undefined;
      return void now?.(db);
    };
    const setsOnce = async (pool: SqlitePool) => {
      leave = leaving;
      await pool.withConnection(() => 0);
    };
    await leavesNothing(t, setsOnce, [trace], { onRelease });
  }
});

test('a hook finds nothing of the last holder', async (t) => {
  const seen: unknown[] = [];
  const inspect = (db: LeasedDatabase) => void seen.push(fingerprint(db));
  const { pool } = auditedPool(t, { onAcquire: inspect, onRelease: inspect });
  await pool.withConnection(() => 0);
  for (const leave of Object.values(leavings)) await pool.withConnection(leave);
  await pool.withConnection((db) => db.exec('BEGIN'));
  await pool.withConnection((db) => db.prepare('SELECT 1').iterate());
  await pool.withConnection(() => 0);
  t.true(seen.length > 12);
  for (const one of seen) t.deepEqual(one, seen[0]);
});

test('code that is left over after its scope can leave nothing', async (t) => {
  const { pool, dirt } = auditedPool(t);
  const before = await look(pool);
  const db = await pool.withConnection((handle) => handle);
  await pool.withConnection((next) => {
    for (const [trace, leave] of Object.entries(leavings))
      t.true(
        refuses(() => leave(db)),
        trace,
      );
    t.deepEqual(fingerprint(next), (before as unknown[])[0]);
  });
  t.deepEqual(await look(pool), before);
  t.deepEqual(dirt, []);
});

test('a user function that changes its connection while it is called leaves nothing', async (t) => {
  for (const [trace, leave] of Object.entries(leavings)) {
    const refused: boolean[] = [];
    let change: (() => unknown) | undefined;
    const { pool } = auditedPool(t, {
      onOpen: (db) => {
        db.function('change', () => {
          refused.push(refuses(() => change?.()));
          return 1;
        });
      },
    });
    const before = await pool.withConnection(fingerprint);
    change = () => leave(pool.db);
    await pool.withConnection((db) => db.prepare('SELECT change()').all());
    t.deepEqual(await pool.withConnection(fingerprint), before, trace);
    t.is(refused.length, 1);
    await pool.close();
  }
});
