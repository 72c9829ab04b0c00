import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { createPool, OptionsError } from '../../lib/index.ts';
import { normalize } from '../../lib/sqlite/options.ts';
import { temporaryDirectory } from '../support/files.ts';
import { temporaryPool, wrong } from '../support/sqlite.ts';

/** Asserts that `createPool` refuses an option, and says which, what was given and what is allowed. */
function refuses(option: string, value: unknown, allowed: RegExp): (t: import('ava').ExecutionContext) => void {
  return (t) => {
    const error = t.throws<OptionsError>(() => createPool('app.db', wrong({ [option]: value })), {
      instanceOf: OptionsError,
    });
    t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS', option });
    t.is(error?.value, value);
    t.regex(error?.allowed ?? '', allowed);
    t.true(error?.message.startsWith(`Option "${option}" is `), error?.message);
    t.true(error?.message.includes(error.allowed));
  };
}

const refused: Record<string, { allowed: RegExp; values: readonly unknown[] }> = {
  busyTimeout: {
    allowed: /integer from 0 to 2147483647/,
    values: [-1, 1.5, 2 ** 31, Infinity, NaN, '1000', null, true],
  },
  statementCache: { allowed: /integer from 0/, values: [-1, 1.5, Infinity, NaN, '500', null] },
  readonly: { allowed: /true or false/, values: [1, 'true', null] },
  onOpen: { allowed: /a function/, values: [1, 'open', null, {}] },
  onAcquire: { allowed: /a function/, values: [false, null] },
  onRelease: { allowed: /a function/, values: [[], null] },
  Database: { allowed: /class/, values: ['better-sqlite3', {}, null] },
  pragmas: {
    allowed: /pragma names in lower case/,
    values: [
      null,
      'WAL',
      1,
      { 'foreign_keys = 1; --': 1 },
      { Foreign_Keys: 1 },
      { 'main.cache_size': 1 },
      { '': 1 },
      { cache_size: NaN },
      { cache_size: Infinity },
      { cache_size: 1n },
      { cache_size: [] },
      { cache_size: {} },
      { cache_size: () => 1 },
    ],
  },
};

for (const [option, { allowed, values }] of Object.entries(refused)) {
  for (const [index, value] of values.entries()) {
    test(`${option} is refused where it is out of bounds, ${index + 1}`, refuses(option, value, allowed));
  }
}

test('an unknown or misspelt option is refused, with the nearest that there is', (t) => {
  for (const [given, meant] of [
    ['busytimeout', 'busyTimeout'],
    ['busy_timeout', 'busyTimeout'],
    ['readOnly', 'readonly'],
    ['statementsCache', 'statementCache'],
    ['pragma', 'pragmas'],
    ['database', 'Database'],
    ['onopen', 'onOpen'],
    ['maxx', 'max'],
  ]) {
    const error = t.throws(() => createPool('app.db', wrong({ [`${given}`]: 1 })), { code: 'ERR_LEASEHOLD_OPTIONS' });
    t.true(error?.message.includes(`Did you mean "${meant}"?`), error?.message);
  }
  const error = t.throws(() => createPool('app.db', wrong({ timeout: 1 })), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.regex(error?.message ?? '', /no such option/);
});

test('an option that is undefined counts as absent', (t) => {
  const { sqlite } = normalize('app.db', {
    busyTimeout: undefined,
    statementCache: undefined,
    readonly: undefined,
    pragmas: { synchronous: undefined, cache_size: undefined },
    Database: undefined,
    onOpen: undefined,
  });
  t.like(sqlite, { busyTimeout: 1000, statementCache: 500, readonly: false });
  t.is(sqlite.Database, Database);
});

test('the settings are complete, frozen, and apart from what was given', (t) => {
  const pragmas = { cache_size: 7 };
  const options = { pragmas, busyTimeout: 5 };
  const { sqlite, pool } = normalize('data/app.db', options);
  options.busyTimeout = 6;
  t.is(sqlite.busyTimeout, 5);
  t.is(sqlite.file, resolve('data/app.db'));
  t.is(pool.name, 'app');
  t.true(Object.isFrozen(sqlite) && Object.isFrozen(pool));
  t.deepEqual(
    sqlite.pragmas.map(([name]) => name),
    ['journal_mode', 'synchronous', 'foreign_keys', 'cache_size'],
  );
});

// An object that is changed after createPool() must not change the connections that are opened later.
test('pragmas are those that were given, whatever becomes of their object', async (t) => {
  const pragmas: Record<string, number> = { cache_size: 321 };
  const pool = temporaryPool(t, { pragmas });
  pragmas['cache_size'] = 5;
  pragmas['threads'] = 2;
  await pool.withConnection((db) => {
    t.is(db.pragma('cache_size', { simple: true }), 321);
    t.is(db.pragma('threads', { simple: true }), 0);
  });
});

test('the name is the base name of the file unless one is given', (t) => {
  for (const [file, name] of [
    ['app.db', 'app'],
    ['/data/orders.2024.sqlite', 'orders.2024'],
    ['plain', 'plain'],
    ['.hidden', '.hidden'],
    [':memory:', ':memory:'],
    ['', 'temporary'],
  ]) {
    t.is(createPool(file ?? '').name, name ?? '');
  }
  t.is(createPool('app.db', { name: 'orders' }).name, 'orders');
});

test('a pragma that is undefined counts as absent, so that its default stays', async (t) => {
  const pool = temporaryPool(t, { pragmas: { journal_mode: undefined, synchronous: undefined } });
  await pool.withConnection((db) => {
    t.is(db.pragma('journal_mode', { simple: true }), 'wal');
    t.is(db.pragma('synchronous', { simple: true }), 1);
  });
});

test('pragmas.busy_timeout is refused: busyTimeout is the option', (t) => {
  const error = t.throws(() => createPool('app.db', { pragmas: { busy_timeout: 5 } }), {
    code: 'ERR_LEASEHOLD_OPTIONS',
  });
  t.regex(error?.message ?? '', /busyTimeout/);
});

test('pragmas in an array or a Map are refused', (t) => {
  for (const pragmas of [[], new Map([['synchronous', 'OFF']]), new Set(['WAL'])]) {
    t.throws(() => createPool('app.db', { pragmas: wrong(pragmas) }), { code: 'ERR_LEASEHOLD_OPTIONS' });
  }
});

test('a file: name is refused, and no file of that name is made', async (t) => {
  for (const name of ['file:app.db', 'file:app.db?mode=memory', '  file:///tmp/app.db']) {
    const error = t.throws<OptionsError>(() => createPool(name), { instanceOf: OptionsError });
    t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS', option: 'file', value: name });
    t.regex(error?.message ?? '', /a path, not a URI/);
    t.false(existsSync(name.trim()));
  }
  // A path that only looks like one is a path.
  const pool = temporaryPool(t, {}, join(temporaryDirectory(t), 'file:app.db'));
  await pool.withConnection((db) => t.true(db.name.endsWith('/file:app.db')));
});

test('what is not a file name is refused', (t) => {
  for (const value of [undefined, null, 1, {}, Buffer.from('app.db'), new URL('file:///tmp/app.db'), 'app\0.db']) {
    t.throws(() => createPool(wrong(value)), { instanceOf: OptionsError, code: 'ERR_LEASEHOLD_OPTIONS' });
  }
  t.throws(() => createPool('app.db', wrong(null)), { code: 'ERR_LEASEHOLD_OPTIONS' });
  t.throws(() => createPool('app.db', wrong('fast')), { code: 'ERR_LEASEHOLD_OPTIONS' });
});

test('a private database has one connection, and cannot be read-only', (t) => {
  for (const name of ['', ':memory:', ' :memory: ']) {
    t.is(createPool(name).stats().max, 1);
    t.is(createPool(name, { max: 1 }).stats().max, 1);
    t.throws(() => createPool(name, { max: 2 }), {
      code: 'ERR_LEASEHOLD_OPTIONS',
      message: /"max" is 2: expected at most 1/,
    });
    t.throws(() => createPool(name, { readonly: true }), { code: 'ERR_LEASEHOLD_OPTIONS', message: /"readonly"/ });
  }
});

test('a pool opens nothing before it is used', (t) => {
  const file = join(temporaryDirectory(t), 'app.db');
  const pool = createPool(file);
  t.false(existsSync(file));
  t.is(pool.stats().size, 0);
  t.is(pool.db.name, file);
});

test('another class of the same API is used for every connection', async (t) => {
  const names: string[] = [];
  class Other extends Database {
    constructor(file: string, options?: Database.Options) {
      super(file, options);
      names.push(file);
      t.deepEqual(Object.keys(options ?? {}).toSorted(), ['readonly', 'timeout']);
    }
  }
  const pool = temporaryPool(t, { Database: Other as unknown as typeof Database });
  await using first = await pool.acquire();
  await using second = await pool.acquire();
  t.true(first.open && second.open);
  t.deepEqual(names, [pool.db.name, pool.db.name]);
});
