import { ProxyTracerProvider } from '@opentelemetry/api';
import { instrument } from '../../../lib/telemetry/opentelemetry.ts';
import { openPool, run, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const watch = instrument(pool, { tracerProvider: new ProxyTracerProvider() });
  await pool.transaction(() => visit(pool, 'kept'));
  await pool.transaction(() => visit(pool, 'refused')).catch(() => {});
  watch.stop();
  await pool.close();
});
