import type { ExecutionContext } from 'ava';
import { type Generated, Kysely, type KyselyConfig } from 'kysely';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { temporaryFile } from './files.ts';
import { temporaryPool } from './sqlite.ts';

// A file with items and tags of them, for specs of Kysely on a pool.

export interface Tables {
  item: { id: Generated<number>; name: string };
  tag: { item: number; name: string };
}

export interface Items {
  readonly pool: SqlitePool;
  readonly db: Kysely<Tables>;
}

/** A tag may name an item that does not exist, until COMMIT. */
const schema = `
  CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE tag (item INTEGER NOT NULL REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED, name TEXT NOT NULL);`;

/** Kysely on a pool of a file of its own, with empty tables. */
export async function openKysely(
  t: ExecutionContext,
  { file = temporaryFile(t), ...options }: SqlitePoolOptions & { readonly file?: string } = {},
  config: Omit<KyselyConfig, 'dialect'> = {},
): Promise<Items> {
  const pool = temporaryPool(t, options, file);
  await pool.withConnection((db) => db.exec(schema), { write: true });
  return { pool, db: new Kysely<Tables>({ dialect: new LeaseholdDialect({ pool }), ...config }) };
}

export async function add(db: Kysely<Tables>, ...names: string[]): Promise<void> {
  for (const name of names) await db.insertInto('item').values({ name }).execute();
}

/** What is there for `db` to see, in the order in which it was written. */
export async function namesOf(db: Kysely<Tables>): Promise<string> {
  const rows = await db.selectFrom('item').select('name').orderBy('id').execute();
  return rows.map(({ name }) => name).join(' ');
}

/** Asserts that nothing is held, and nobody waits. */
export function isIdle(t: ExecutionContext, pool: SqlitePool): void {
  t.like(pool.stats(), { leased: 0, waiting: 0, laneHeld: 0, laneWaiting: 0 });
}
