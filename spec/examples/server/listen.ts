import { once } from 'node:events';
import type { Server } from 'node:http';
import { DemoError } from './failure.ts';

/** A server that listens. Disposing of it closes it gracefully. */
export interface Site extends AsyncDisposable {
  readonly url: string;
}

// Requests in hand get this many milliseconds to finish when the server closes.
const patience = 5000;

/** @throws DemoError where the port is taken, and what the system says of others */
export async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<Site> {
  // Kept-alive sockets become idle one by one as their last response ends; close() itself looks only once.
  server.on('request', (_request, response) => {
    response.once('close', () => {
      if (!server.listening) server.closeIdleConnections();
    });
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new DemoError(`Port ${port} of ${host} is in use. Choose another by --port, or any free one by --port 0.`);
  }
  const address = server.address() as { port: number };
  const name = host.includes(':') ? `[${host}]` : host;
  return { url: `http://${name}:${address.port}`, [Symbol.asyncDispose]: () => close(server) };
}

/** Accepts nobody any more, lets the requests in hand finish, and cuts off those that take too long. */
async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const cutOff = setTimeout(() => server.closeAllConnections(), patience);
  try {
    await closed;
  } finally {
    clearTimeout(cutOff);
  }
}
