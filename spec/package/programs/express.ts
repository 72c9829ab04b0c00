import framework, { type ErrorRequestHandler } from 'express';
import { express, transactional } from '../../../lib/http/express.ts';
import { byPath, openPool, run, send, serve, visit } from './support.ts';

// By its fourth parameter Express knows what it is for.
const forbid: ErrorRequestHandler = (_error, _request, response, _next) => void response.status(403).end();

run(async () => {
  const pool = await openPool();
  const app = framework();
  app.use(express(pool));
  app.get(
    '/:name',
    transactional(pool, async (request, response) => {
      await visit(pool, request.path.slice(1));
      response.end();
    }),
  );
  app.use(forbid);
  await send(serve(app), byPath);
  await pool.close();
});
