import type { Client } from 'pg';
import { classify } from '../../lib/postgres/sql.ts';

/** What a text has done to its session, in the words of the clean-up, as the server tells. It is undone. */
export async function effectsOf(client: Client, text: string): Promise<Set<string>> {
  const effects = new Set<string>();
  await client.query(text).catch(() => {});
  // An error comes before the server says what has become of the transaction.
  await client.query('');
  if (client.getTransactionStatus() !== 'I') {
    effects.add('transaction');
    await client.query('COMMIT').catch(() => {});
  }
  const { rows } = await client.query<Record<string, boolean>>(`SELECT
    EXISTS (SELECT FROM pg_listening_channels()) AS "LISTEN",
    EXISTS (SELECT FROM pg_prepared_statements) AS "prepared statement",
    EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS "temporary object",
    EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS "advisory lock",
    EXISTS (SELECT FROM pg_cursors WHERE is_holdable) AS "cursor WITH HOLD",
    current_setting('work_mem') <> '4MB' OR nullif(current_setting('local.name', true), '') IS NOT NULL AS "SET"`);
  for (const [trace, isThere] of Object.entries(rows[0] ?? {})) if (isThere) effects.add(trace);
  await client.query('DISCARD ALL');
  return effects;
}

/** Those of its effects that the clean-up would not know of. */
export function missedOf(text: string, effects: ReadonlySet<string>): string[] {
  const { transaction, traces, opaque } = classify(text);
  const isSeen = (effect: string): boolean =>
    effect === 'transaction' ? transaction : opaque || traces.includes(effect);
  return [...effects].filter((effect) => !isSeen(effect));
}
