import { Registry } from 'prom-client';
import { collect } from '../../../lib/telemetry/prometheus.ts';
import { openPool, run, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const registry = new Registry();
  collect(pool, { registry });
  await pool.transaction(() => visit(pool, 'kept'));
  const text = await registry.metrics();
  if (!text.includes('db_client_connection_max')) throw new Error(text);
  await pool.close();
});
