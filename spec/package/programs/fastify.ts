import framework from 'fastify';
import { fastify, transactional } from '../../../lib/http/fastify.ts';
import { byPath, openPool, run, turn, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const app = framework();
  await app.register(fastify, { pool });
  app.get<{ Params: { name: string } }>(
    '/:name',
    transactional(pool, async (request) => {
      await visit(pool, request.params.name);
      return 'welcome';
    }),
  );
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  for (const [name, status] of [
    ['kept', 200],
    ['refused', 500],
  ] as const) {
    const response = await fetch(`${url}${byPath(name)}`);
    await response.text();
    if (response.status !== status) throw new Error(`${name}: ${response.status}`);
  }
  await turn();
  await app.close();
  await pool.close();
});
