import test from 'ava';
import fastifyFramework from 'fastify';
import { fastify, transactional } from '../../lib/http/fastify.ts';
import { namesIn, openItems } from '../support/items.ts';
import { insertHere, isIdle } from './support.ts';

test('Fastify: a handler that is no async function is committed or rolled back by what it returns or throws', async (t) => {
  const pool = await openItems(t);
  const app = fastifyFramework();
  await app.register(fastify, { pool });
  app.post(
    '/returns',
    transactional(pool, () => {
      insertHere(pool, 'returned');
      return { sent: 1 };
    }),
  );
  app.post(
    '/throws',
    transactional(pool, () => {
      insertHere(pool, 'thrown');
      throw Object.assign(new Error('no such item'), { statusCode: 404 });
    }),
  );
  const returned = await app.inject({ method: 'POST', url: '/returns' });
  t.deepEqual([returned.statusCode, returned.json()], [200, { sent: 1 }]);
  const thrown = await app.inject({ method: 'POST', url: '/throws' });
  t.is(thrown.statusCode, 404);
  t.like(thrown.json(), { message: 'no such item' });
  t.deepEqual(await namesIn(pool), ['returned']);
  await isIdle(t, pool);
  await app.close();
});
