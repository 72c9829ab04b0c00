import type { ExecutionContext } from 'ava';
import type { SqlitePool, SqlitePoolOptions } from '../../../lib/index.ts';
import { type Inspector, type InspectorOptions, inspector } from '../../../lib/inspector.ts';
import { serve } from '../../http/support-b.ts';
import { gate } from '../../support/gate.ts';
import { temporaryPool } from '../../support/sqlite.ts';
import { Front } from './front.ts';

/** A pool, its inspector, and a server of that. */
export interface Inspected {
  readonly pool: SqlitePool;
  readonly page: Inspector;
  readonly front: Front;
  readonly url: string;
}

export async function inspected(
  t: ExecutionContext,
  options?: SqlitePoolOptions,
  inspecting?: InspectorOptions,
): Promise<Inspected> {
  const pool = temporaryPool(t, { name: 'shop', acquireTimeout: 120_000, ...options });
  await pool.run('CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)');
  return { pool, ...(await inspect(t, pool, inspecting)) };
}

export async function inspect(
  t: ExecutionContext,
  pools: SqlitePool | readonly SqlitePool[],
  inspecting?: InspectorOptions,
): Promise<Omit<Inspected, 'pool'>> {
  const page = inspector(pools, inspecting);
  t.teardown(() => page.close());
  const front = new Front(page);
  const { url } = await serve(t, (request, response) => void front.answer(request, response));
  return { page, front, url: `${url}/pool/` };
}

/** What is held until it is let go. */
export interface Held {
  /** Ends it, and resolves once it has ended. */
  letGo(): Promise<void>;
}

/** Takes a connection as one labelled so, and resolves once it has it. */
export function hold(t: ExecutionContext, pool: SqlitePool, label: string | undefined): Promise<Held> {
  return begun(t, (inside) => pool.withConnection(inside, { ...(label !== undefined && { label }) }));
}

/** Opens a write transaction as one labelled so, and resolves once it is open. */
export function write(t: ExecutionContext, pool: SqlitePool, label: string): Promise<Held> {
  return begun(t, (inside) => pool.transaction(inside, { label }));
}

async function begun(t: ExecutionContext, start: (inside: () => Promise<void>) => Promise<void>): Promise<Held> {
  const entered = gate();
  const left = gate();
  const over = start(async () => {
    entered.open();
    await left.passed;
  });
  const letGo = async (): Promise<void> => {
    left.open();
    await over;
  };
  // Where a test is over before it has let go, its pool is to be closed without a wait.
  t.teardown(() => left.open());
  over.catch(() => {});
  await Promise.race([entered.passed, over]);
  return { letGo };
}
