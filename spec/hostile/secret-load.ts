import { inspect } from 'node:util';
import type { AcquireOptions, LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { sql } from '../../lib/index.ts';

// Calls that fail, each with a value bound to it that nobody else may learn of.

export const secret = 'swordfish-7f3a';
const bytes = Buffer.from(secret);
const digits = 8_675_309_867;

/** How the values look where they are printed in one way or another. */
export const traces: readonly RegExp[] = [
  /swordfish/i,
  /867_?530_?986_?[78]/,
  new RegExp([...bytes].map((byte) => byte.toString(16)).join('\\s?'), 'i'),
  new RegExp([...bytes].slice(0, 8).join(',\\s*')),
  new RegExp(bytes.toString('base64').slice(0, 12)),
  new RegExp(encodeURIComponent(secret).replaceAll('-', '%2d'), 'i'),
];

const insert = 'INSERT INTO item VALUES (?)';
const all = [secret, bytes, digits, BigInt(digits + 1)];

/** Anything, where the types allow nothing of the kind. */
const any = (value: unknown): never => value as never;

/** Calls of a pool that fail, whoever holds what. */
const calls: readonly ((pool: SqlitePool, value: never) => unknown)[] = [
  // Twice the same, in a column that is unique.
  (pool, value) => pool.run(insert, [value]),
  (pool, value) => pool.run(sql`INSERT INTO item VALUES (${value})`),
  (pool, value) => pool.run({ text: 'INSERT INTO item VALUES ($1)', values: [value] }),
  (pool, value) => pool.get('INSERT INTO item VALUES (:a) RETURNING *', { a: value }),
  (pool, value) => pool.all(sql`INSERT INTO item ${sql.values([[value], [value]])} RETURNING *`),
  (pool, value) => pool.withStatement(insert, (statement) => statement.run(value)),
  (pool, value) => pool.transaction((tx) => tx.prepare(insert).run(value), { label: 'payment', retries: 1 }),
  (pool, value) => pool.transaction(() => pool.transaction((tx) => tx.prepare(insert).run(value))),
  (pool, value) => pool.withConnection(() => pool.db.prepare(insert).bind(value).run(), { write: true }),
  (pool, value) => pool.withConnection((db) => db.transaction(() => db.prepare(insert).run(value))()),
  // Too few, too many, of the wrong kind.
  (pool, value) => pool.get('SELECT 1', [value]),
  (pool, value) => pool.get('SELECT ?, ?', [value]),
  (pool, value) => pool.get('SELECT :a', { b: value }),
  (pool, value) => pool.get('SELECT ?', [{ value }]),
  (pool, value) => pool.get('SELECT :a', { a: [value] }),
  (pool, value) => pool.get('SELECT ?', [new Map([[value, value]])]),
  (pool, value) => pool.get('SELECT ?', [() => value]),
  (pool, value) => pool.withConnection((db) => db.prepare('SELECT ?').bind(value).get(value)),
  // In the wrong place.
  (pool, value) => pool.get('SELECT ?', [1], value),
  (pool, value) => pool.run('SELECT ?', [1], any([value])),
  (pool, value) => pool.all('SELECT ?', [1], any({ password: value })),
  (pool, value) => pool.all('SELECT ?', [1], any({ label: { value } })),
  (pool, value) => pool.all('SELECT ?', [1], any({ priority: value, timeout: [value] })),
  (pool, value) => pool.get(sql`SELECT 1`, any([value])),
  (pool, value) => pool.get(sql`SELECT 1`, value),
  (pool, value) => pool.get({ sql: 'SELECT 1', values: value }, any({ password: value })),
  (pool, value) => pool.get(any({ password: value })),
  (pool, value) => pool.get({ text: 'SELECT $1, $2', values: [value] }),
  (pool, value) => pool.get({ text: 'SELECT ?, $1', values: [value] }),
  // In a template.
  (_, value) => sql`SELECT ${any({ value })}`,
  (_, value) => sql`SELECT ${any([value])}`,
  (_, value) => sql`SELECT '${value}'`,
  (_, value) => sql.list(value),
  (_, value) => sql.list([any({ value })]),
  (_, value) => sql.values([[value], [value, value]]),
  (_, value) => sql.join([value]),
  (_, value) => sql.raw(any({ value })),
  (_, value) => sql.id(any({ value })),
  (_, value) => (sql as unknown as (value: unknown) => unknown)(value),
  // Where writing is not allowed, or no more.
  (pool, value) => pool.read((db) => db.prepare(insert).run(value)),
  (pool, value) => pool.read((db) => db.prepare(`${insert} RETURNING *`).iterate(value).next()),
  (pool, value) =>
    pool.transaction(async (tx) => {
      try {
        tx.prepare('INSERT OR ROLLBACK INTO item VALUES (?)').run(value);
      } catch {
        tx.prepare(insert).run(value);
      }
    }),
  async (pool, value) => {
    const left = await pool.withConnection((db) => db.prepare(insert).bind(value));
    left.run();
  },
  async (pool, value) => {
    const ended: { tx?: LeasedDatabase } = {};
    await pool.transaction((tx) => {
      ended.tx = tx;
    });
    ended.tx?.prepare(insert).run(value);
  },
];

const oneOfItsOwn = { fresh: true } as const;

/** Calls that fail because somebody else writes. */
const crowded: readonly ((pool: SqlitePool, value: never, options: AcquireOptions) => unknown)[] = [
  (pool, value, options) => pool.run(insert, [value], { ...options }),
  (pool, value, options) =>
    pool.transaction((tx) => tx.prepare(insert).run(value), { ...options, nesting: 'separate' }),
  (pool, value) => pool.withConnection((db) => db.prepare(insert).run(value), oneOfItsOwn),
  (pool, value, options) =>
    pool.withConnection((db) => db.prepare('SELECT ?').get(value), { ...options, ...oneOfItsOwn }),
];

/** Makes all of it fail, and gives what was thrown, and what else can be looked at meanwhile. */
export async function failEverywhere(pool: SqlitePool): Promise<unknown[]> {
  const said: unknown[] = [];
  const late = { label: 'crowd', timeout: 20 };
  const note = async (what: unknown, call: () => unknown): Promise<void> => {
    try {
      await call();
      said.push(new Error(`It did not fail: ${String(what)}`));
    } catch (error) {
      said.push(error);
    }
  };
  await pool.run('CREATE TABLE item (name UNIQUE)');
  for (const value of all) await pool.run(insert, [value]);
  for (const call of calls) for (const value of all) await note(call, () => call(pool, value as never));
  for (const value of all) {
    // Left open, to be reported; and looked at while it is.
    const db = await pool.acquire({ label: 'holder' });
    db.exec('BEGIN IMMEDIATE');
    const statement = db.prepare('SELECT ? UNION SELECT 2').bind(value);
    const rows = db.prepare('SELECT * FROM item WHERE name = ? OR 1').iterate(value);
    rows.next();
    said.push(statement, rows, sql`SELECT ${value}`, db, pool.leases());
    said.push(inspect([statement, rows], { showHidden: true, depth: 9, getters: true }));
    for (const call of crowded.slice(0, -1)) await note(call, () => call(pool, value as never, late));
    const other = await pool.acquire();
    for (const call of crowded.slice(-1)) await note(call, () => call(pool, value as never, late));
    for (const lease of [other, db]) lease.close();
    await pool.withConnection(() => {
      const ambient = pool.db.prepare('SELECT ?').bind(value);
      said.push(ambient, pool.db, inspect(ambient, { showHidden: true, getters: true }));
    });
  }
  said.push(pool.stats(), pool.stats({ by: 'label' }), pool);
  return said;
}
