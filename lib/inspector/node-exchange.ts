import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { outside } from '../clock.ts';
import type { Peer } from './access.ts';
import { plain } from './plain.ts';
import { endingOf } from './stream.ts';

/** What is used of `IncomingMessage`, of HTTP/1 and HTTP/2. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean };
}

/** What is used of a response. */
export interface NodeResponse extends NodeJS.WritableStream {
  statusCode: number;
  readonly headersSent: boolean;
  setHeader(name: string, value: string | string[]): unknown;
  readonly destroyed?: boolean;
  /** Of HTTP/2, whose response does not say so itself. */
  readonly stream?: { readonly destroyed: boolean } | undefined;
  flushHeaders?(): void;
  destroy(error?: Error): unknown;
}

/** Answers a request of the fetch standard. */
export type Answer = (request: Request, peer: Peer) => Promise<Response>;

/** A request of Node as one of the fetch standard. Its body is not read: nobody asks for anything by one. `undefined` where it is none. */
export function requestOf({ method = 'GET', url = '/', headers, socket }: NodeRequest): Request | undefined {
  const all = new Headers();
  try {
    for (const [name, value] of Object.entries(headers)) {
      // What HTTP/2 has instead of a first line.
      if (name.startsWith(':') || value === undefined) continue;
      for (const each of typeof value === 'string' ? [value] : value) all.append(name, each);
    }
    const authority = headers[':authority'] ?? headers['host'];
    if (authority !== undefined) all.set('host', String(authority));
    const path = url.startsWith('/') ? url : pathOf(new URL(url));
    const base = `${socket.encrypted === true ? 'https' : 'http'}://${String(authority ?? 'localhost')}`;
    // Not resolved against the base: what begins with two slashes would be taken for another host.
    return new Request(new URL(`${base}${path}`), { method, headers: all });
  } catch {
    return undefined;
  }
}

function pathOf({ pathname, search }: URL): string {
  return pathname + search;
}

/** Has a request of Node answered. What `answer` rejects with passes through, before anything is sent. */
export async function exchange(answer: Answer, request: NodeRequest, response: NodeResponse): Promise<void> {
  const asked = requestOf(request);
  if (asked === undefined) return send(plain(400, 'This is no request that can be understood.'), response);
  return send(await answer(asked, peerOf(request)), response);
}

/** Who has sent a request of Node. */
export function peerOf({ socket, httpVersion }: Pick<NodeRequest, 'socket' | 'httpVersion'>): Peer {
  return { address: socket.remoteAddress, version: httpVersion };
}

/** Never rejects: where the client is gone nobody can be told. */
export async function send({ status, headers, body }: Response, response: NodeResponse): Promise<void> {
  if (response.destroyed === true || response.stream?.destroyed === true) {
    await body?.cancel();
    return;
  }
  let source: Readable | undefined;
  try {
    source = body === null ? undefined : Readable.fromWeb(body as never);
    response.statusCode = status;
    for (const [name, value] of headers) if (name !== 'set-cookie') response.setHeader(name, value);
    const cookies = headers.getSetCookie();
    if (cookies.length > 0) response.setHeader('set-cookie', cookies);
    if (source === undefined) {
      response.end();
      return;
    }
    if (body !== null) letGo(body, response);
    response.flushHeaders?.();
    await pipeline(source, response);
  } catch {
    // A pipeline to what was closed before does neither.
    source?.destroy();
    response.destroy();
  }
}

// Milliseconds in which a client can read the end of a stream.
const patience = 2000;

/** A server waits for its clients before it closes, and one that does not read a stream would keep it from that. */
export function letGo(body: ReadableStream, response: Pick<NodeResponse, 'destroy' | 'once'>): void {
  endingOf(body)?.addEventListener('abort', () => {
    const timer = outside(() => setTimeout(() => response.destroy(), patience));
    timer.unref();
    response.once('close', () => clearTimeout(timer));
  });
}
