import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { createPool } from '../../lib/index.ts';
import { type PostgresPool, type PostgresPoolOptions, postgres } from '../../lib/postgres.ts';
import { gate } from './gate.ts';

/** A pool on a database that the tests of a file share. Of one connection, so that all its leases meet on that. */
export function poolOn(t: ExecutionContext, url: string, options: PostgresPoolOptions = {}): PostgresPool {
  const pool = createPool(postgres(url), { name: 'app', max: 1, acquireTimeout: 60_000, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

/** pg's own client on it. */
export async function clientOn(t: ExecutionContext, url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

/** What can be asked in pg's forms. */
export interface Asked {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: Record<string, unknown>[] }>;
}

/** The first column of the first row. */
export async function firstOf(db: Asked, text: string, values?: unknown[]): Promise<unknown> {
  const { rows } = await db.query(text, values);
  return rows[0] === undefined ? undefined : Object.values(rows[0])[0];
}

export function pidOf(db: Asked): Promise<unknown> {
  return firstOf(db, 'SELECT pg_backend_pid()');
}

/** What a pool says of what its holders leave, in words, and of the connections that it does not keep. */
export function leavings(pool: PostgresPool): string[] {
  const seen: string[] = [];
  pool.on('dirty', ({ traces }) => seen.push(...traces));
  pool.on('discard', ({ reason }) => seen.push(`discarded: ${reason}`));
  pool.on('error', (error) => seen.push(String(error)));
  return seen;
}

/** Opens `count` connections, which are idle then. */
export async function fill(pool: PostgresPool, count: number): Promise<void> {
  const leases = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
  for (const lease of leases) lease.release();
}

/** Resolves when `count` connections have been closed, with the reasons. */
export function closes(pool: PostgresPool, count: number): Promise<string[]> {
  const { passed, open } = gate<string[]>();
  const reasons: string[] = [];
  pool.on('close', ({ reason }) => {
    if (reasons.push(reason) === count) open(reasons);
  });
  return passed;
}

/** A class of clients that notes each text that it is asked for. */
export function recording(): { readonly Recorder: typeof Client; readonly texts: string[] } {
  const texts: string[] = [];
  class Recorder extends Client {
    override query(...params: unknown[]): never {
      const [first] = params;
      texts.push(typeof first === 'string' ? first : String((first as { readonly text: unknown }).text));
      return Reflect.apply(super.query, this, params) as never;
    }
  }
  return { Recorder, texts };
}

/** Waits for what a server or a socket does in its own time. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

/** Waits until the server runs a text that begins so, and says the process that does. */
export async function running(client: Client, text: string): Promise<number> {
  let pid: number | undefined;
  await until(async () => {
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND starts_with(query, $1)`,
      [text],
    );
    pid = rows[0]?.pid;
    return pid !== undefined;
  });
  return pid as number;
}
