import { createAdaptorServer } from '@hono/node-server';
import test from 'ava';
import { type Context, Hono } from 'hono';
import { hono, transactional } from '../../lib/http/hono.ts';
import { openItems } from '../support/items.ts';
import { isIdle, listening, said } from './support-b.ts';

// In a process of its own, in which the class `Response` is Node's: of that each body is a stream.
const options = { overrideGlobalObjects: false } as const;

const responses: readonly [what: string, answer: (context: Context) => Response][] = [
  ['a text', (context) => context.text('text')],
  ['JSON', (context) => context.json({ a: 1 })],
  ['bytes', () => new Response(Buffer.from('bytes'))],
  ['an empty text', () => new Response('')],
  ['no content', (context) => context.body(null, 204)],
];

for (const [what, answer] of responses) {
  test(`${what} is sent with its length, the same with a scope or a transaction and without`, async (t) => {
    const pool = await openItems(t);
    const seen = new Set<string>();
    for (const own of [[], [hono(pool, { eager: true })], [transactional(pool)]]) {
      const app = new Hono();
      for (const each of own) app.use(each);
      app.get('/', answer);
      const server = createAdaptorServer({ fetch: app.fetch, ...options });
      seen.add(await said(t, await listening(t, server as never), 'GET'));
      await isIdle(t, pool);
    }
    t.is(seen.size, 1, [...seen].join('\n'));
    if (what !== 'no content') t.regex([...seen].join('\n'), /^content-length: \d+/im);
  });
}

test('a stream reads by the connection of its request', async (t) => {
  const pool = await openItems(t, { max: 1 });
  const app = new Hono().use(hono(pool, { eager: true })).get('/', () => {
    let count = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (count++ === 40) controller.close();
        else
          controller.enqueue(Buffer.from(pool.db.prepare("SELECT printf('%.*c', 65536, 'x')").pluck().get() as string));
      },
    });
    return new Response(body);
  });
  const { url } = await listening(t, createAdaptorServer({ fetch: app.fetch, ...options }) as never);
  t.is((await (await fetch(url)).text()).length, 40 * 65_536);
  await isIdle(t, pool);
});
