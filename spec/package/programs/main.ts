import { AcquireTimeoutError, createPool, LeaseholdError, sql } from '../../../lib/index.ts';
import { openPool, run, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  await pool.transaction(() => visit(pool, 'kept'));
  await pool.transaction(() => visit(pool, 'refused')).catch(() => {});
  const found = await pool.all<{ name: string }>(sql`SELECT name FROM visit WHERE name = ${'kept'}`);
  if (found.length !== 1 || found[0]?.name !== 'kept') throw new Error(JSON.stringify(found));
  const other = createPool('app.db', { max: 1 });
  const lease = await other.acquire();
  const late: unknown = await other.acquire({ timeout: 10 }).catch((error: unknown) => error);
  if (!(late instanceof AcquireTimeoutError && late instanceof LeaseholdError)) throw late;
  lease.close();
  await other.close();
  await pool.close();
});
