import { Hono } from 'hono';
import { hono, transactional } from '../../../lib/http/hono.ts';
import { openPool, run, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const app = new Hono();
  app.use(hono(pool));
  app.get('/:name', transactional(pool), async (context) => {
    await visit(pool, context.req.param('name'));
    return context.text('welcome');
  });
  app.onError((_error, context) => context.text('No admittance', 403));
  for (const [name, status] of [
    ['kept', 200],
    ['refused', 403],
  ] as const) {
    const response = await app.request(`/${name}`);
    await response.text();
    if (response.status !== status) throw new Error(`${name}: ${response.status}`);
  }
  await pool.close();
});
