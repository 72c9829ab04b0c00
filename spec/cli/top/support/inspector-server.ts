import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Report } from '../../../../lib/inspector/wire.ts';

/** What a server tells, each time it is asked. */
export interface Told {
  report(after?: { readonly tick: number; readonly server: string }): Report;
}

/** A server of HTTP with an inspector at `/_pool`, of which a test can have all that may go wrong. */
export interface InspectorServer {
  readonly url: string;
  readonly port: number;
  /** Paths with queries that were asked for, in order. */
  readonly asked: string[];
  readonly headers: IncomingMessage['headers'][];
  /** Sends a report on each stream that is open: complete on a new one, then what came after the last. */
  tick(): void;
  streams(): number;
  /** Waits until it has been asked so often. */
  hasBeenAsked(count: number): Promise<void>;
  /** Ends each stream; `whole` as a server does that shuts down. */
  cut(how: 'whole' | 'torn'): void;
  close(): Promise<void>;
}

export interface InspectorServerOptions {
  /** Answers instead, where it returns true. */
  readonly instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly port?: number;
  /** Opens the stream and holds back all that is sent on it. */
  readonly buffers?: boolean;
}

export async function inspectorServer(
  t: ExecutionContext,
  told: Told,
  { instead = () => false, port = 0, buffers = false }: InspectorServerOptions = {},
): Promise<InspectorServer> {
  const asked: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const streams = new Map<ServerResponse, { readonly tick: number; readonly server: string } | undefined>();
  let heard = Promise.withResolvers<void>();
  const send = (response: ServerResponse) => {
    if (buffers) return;
    const report = told.report(streams.get(response));
    const last = report.ticks.at(-1);
    if (last !== undefined) streams.set(response, { tick: last.number, server: report.server.id });
    response.write(`event: report\ndata: ${JSON.stringify(report)}\n\n`);
  };
  const listener: RequestListener = (request, response) => {
    asked.push(request.url ?? '');
    headers.push(request.headers);
    heard.resolve();
    heard = Promise.withResolvers();
    if (instead(request, response)) return;
    const url = new URL(request.url ?? '', 'http://localhost');
    if (url.pathname === '/_pool/data') {
      const after = url.searchParams.get('after');
      const server = url.searchParams.get('server') ?? '';
      response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(JSON.stringify(told.report(after === null ? undefined : { tick: Number(after), server })));
    } else if (url.pathname === '/_pool/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      streams.set(response, undefined);
      response.once('close', () => streams.delete(response));
      send(response);
    } else {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found');
    }
  };
  const server = createServer(listener);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  t.teardown(close);
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${taken}/_pool`,
    port: taken,
    asked,
    headers,
    tick() {
      for (const response of streams.keys()) send(response);
    },
    streams: () => streams.size,
    async hasBeenAsked(count) {
      while (asked.length < count) await heard.promise;
    },
    cut(how) {
      for (const response of streams.keys()) {
        if (how === 'whole') response.end();
        else response.destroy();
      }
    },
    close,
  };
}
