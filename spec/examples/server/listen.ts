import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { DemoError } from './failure.ts';
import { answer, type Route } from './http.ts';

/** A server that listens. Disposing of it closes it gracefully. */
export interface Site extends AsyncDisposable {
  readonly url: string;
  /** Resolves once no request is in hand, counting those whose client has gone and whose work is being undone. */
  settled(): Promise<void>;
}

// Requests in hand get this many milliseconds to finish when the server closes.
const patience = 5000;

/** Where the page of the pool is. */
export const pagePath = '/_pool';

interface Place {
  readonly port: number;
  readonly host: string;
  /** Answers what is asked of the page of the pool. */
  readonly page?: RequestListener;
}

/** @throws DemoError where the port is taken, and what the system says of others */
export async function listen(routes: readonly Route[], { port, host, page }: Place): Promise<Site> {
  const respond = answer(routes);
  const inHand = new Set<Promise<void>>();
  // Connected, and nothing sent yet: clients keep such sockets in reserve, and no server counts them as idle.
  const unused = new Set<Socket>();
  const server = createServer((request, response) => {
    unused.delete(request.socket);
    if (page !== undefined && isOfPage(request.url)) {
      page(request, response);
      return;
    }
    const handled = respond(request, response).finally(() => inHand.delete(handled));
    inHand.add(handled);
    // Kept-alive sockets become idle one by one as their last response ends; close() itself looks only once.
    response.once('close', () => {
      if (!server.listening) server.closeIdleConnections();
    });
  });
  server.on('connection', (socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
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
  const settled = async () => {
    while (inHand.size > 0) await Promise.all(inHand);
  };
  return {
    url: `http://${name}:${address.port}`,
    settled,
    async [Symbol.asyncDispose]() {
      const closed = close(server);
      for (const socket of unused) socket.destroy();
      await closed;
      await settled();
    },
  };
}

function isOfPage(url = ''): boolean {
  const [path = ''] = url.split('?', 1);
  return path === pagePath || path.startsWith(`${pagePath}/`);
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
