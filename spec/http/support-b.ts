import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';

/** A server of this process. */
export interface Site {
  readonly url: string;
  readonly port: number;
  readonly server: Server;
}

/** Serves requests on a port of its own until the test is over. */
export function serve(t: ExecutionContext, listener: RequestListener): Promise<Site> {
  return listening(t, createServer(listener));
}

/** Has a server that somebody else has made listen until the test is over. */
export async function listening(t: ExecutionContext, server: Server): Promise<Site> {
  if (!server.listening) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, server };
}

/** A client that does only what it is told, and reads only when it is told. */
export interface RawClient {
  readonly socket: Socket;
  send(text: string): void;
  /** Reads until what has come matches. */
  read(pattern: RegExp): Promise<string>;
  /** Goes away without a word. */
  abort(): void;
}

export async function rawClient(t: ExecutionContext, { port }: Site): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  t.teardown(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.pause();
  let received = '';
  return {
    socket,
    send: (text) => void socket.write(text),
    async read(pattern) {
      while (!pattern.test(received)) {
        const chunk: unknown = socket.read();
        if (typeof chunk === 'string') received += chunk;
        else if (socket.readableEnded || socket.destroyed) throw new Error(`The server said only:\n${received}`);
        else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
      }
      return received;
    },
    abort: () => void socket.resetAndDestroy(),
  };
}

/** A client that has sent a whole request, and reads nothing of the answer. */
export async function rawRequest(t: ExecutionContext, site: Site, method: string, path: string): Promise<RawClient> {
  const client = await rawClient(t, site);
  client.send(
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n`,
  );
  return client;
}

/** What a server says, word for word, but for what differs from time to time. */
export async function said(t: ExecutionContext, site: Site, method: string): Promise<string> {
  const { socket, send } = await rawClient(t, site);
  let all = '';
  socket.on('data', (piece: string) => {
    all += piece;
  });
  send(`${method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  await once(socket.resume(), 'close');
  return all.replace(/^date: .*$/im, 'date');
}

// Milliseconds after which what has not happened never will.
const longestLook = 20_000;

/** Waits for what becomes true in a turn of the event loop to come. */
export async function eventually(condition: () => boolean, what: () => unknown = () => condition): Promise<void> {
  for (const startedAt = performance.now(); !condition(); await setImmediate()) {
    if (performance.now() - startedAt > longestLook) throw new Error(`It never came to that: ${String(what())}`);
  }
}

/** Asserts that nobody holds anything, or will not in a moment: a server hears of the end of a response after its client. */
export async function isIdle(t: ExecutionContext, ...pools: SqlitePool[]): Promise<void> {
  for (const pool of pools) {
    const startedAt = performance.now();
    while (!isUnused(pool) && performance.now() - startedAt < longestLook) await setImmediate();
    t.notThrows(() => pool.assertIdle());
    t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0 });
  }
}

function isUnused(pool: SqlitePool): boolean {
  const { leased, waiting, laneHeld, laneWaiting } = pool.stats();
  return leased + waiting + laneHeld + laneWaiting === 0;
}

/** Writes a name by the connection of the present scope. */
export function insertHere(pool: SqlitePool, name: string): void {
  pool.db.prepare('INSERT INTO item VALUES (?)').run(name);
}

/** Numbers of the connections that are held, in the order in which they were taken. */
export function held(pool: SqlitePool): number[] {
  return pool.leases().map(({ connection }) => connection);
}

/** Labels of those who hold connections. */
export function labels(pool: SqlitePool): (string | undefined)[] {
  return pool.leases().map(({ label }) => label);
}

/** Resolves with what a promise rejects with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<Error & { readonly code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('It was fulfilled');
}
