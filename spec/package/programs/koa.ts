import Koa from 'koa';
import { koa, transactional } from '../../../lib/http/koa.ts';
import { byPath, openPool, run, send, visit } from './support.ts';

run(async () => {
  const pool = await openPool();
  const app = new Koa();
  app.silent = true;
  app.use(koa(pool));
  app.use(transactional(pool));
  app.use(async (context) => {
    await visit(pool, context.path.slice(1));
    context.body = 'welcome';
  });
  await send(app.listen(0, '127.0.0.1'), byPath);
  await pool.close();
});
