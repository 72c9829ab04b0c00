import { node, transactional } from '../../../lib/http/node.ts';
import { byPath, openPool, run, send, serve, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const handle = transactional(pool, async (request, response) => {
    await visit(pool, request.url?.slice(1) ?? '');
    response.end();
  });
  const listener = node(pool, (request, response) =>
    handle(request, response).catch(() => {
      response.statusCode = 403;
      response.end();
    }),
  );
  const server = serve((request, response) => void listener(request, response));
  await send(server, byPath);
  await pool.close();
});
