import { once } from 'node:events';
import { connect } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import test from 'ava';
import { Hono } from 'hono';
import { createPool, type LeasedDatabase } from '../../lib/index.ts';
import type { Inspector } from '../../lib/inspector.ts';
import { temporaryFile } from '../support/files.ts';
import { inspect, serve } from './support/serve.ts';

/** A stack that is as long as any that is told. */
async function deep(calls: number, last: () => Promise<LeasedDatabase>): Promise<LeasedDatabase> {
  return calls === 0 ? await last() : await deep(calls - 1, last);
}

for (const [by, listenerOf] of [
  ['node:http', (page: Inspector) => page.node],
  ['Hono', (page: Inspector) => getRequestListener(new Hono().get('/*', page.hono).fetch)],
] as const)
  test.serial(`a client that never reads does not keep a server by ${by} from closing`, async (t) => {
    const before = Error.stackTraceLimit;
    Error.stackTraceLimit = 200;
    t.teardown(() => {
      Error.stackTraceLimit = before;
    });
    // Reports of most of a megabyte, so that no buffer on the way to the client has room for them.
    const pool = createPool(temporaryFile(t), { max: 100, leakThreshold: 600_000 });
    const leases: LeasedDatabase[] = [];
    for (let count = 0; count < 100; count++) leases.push(await deep(120, () => pool.acquire({ label: `${count}` })));
    t.teardown(async () => {
      for (const lease of leases) lease.close();
      await pool.close();
    });
    const page = inspect(t, pool);
    const { port, server } = await serve(t, (...exchanged) => void listenerOf(page)(...exchanged));
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    t.teardown(() => void socket.destroy());
    const requested = once(server, 'request') as Promise<
      [unknown, NodeJS.WritableStream & { writableNeedDrain: boolean }]
    >;
    socket.pause().write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const [, response] = await requested;
    // Until nothing more goes to it.
    for (let full = 0; full < 3; full = response.writableNeedDrain ? full + 1 : 0) {
      await new Promise((resolve) => void setTimeout(resolve, 600));
    }
    page.close();
    const closed = once(server, 'close');
    server.close();
    await closed;
    t.pass();
  });
