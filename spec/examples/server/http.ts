import type { IncomingMessage, ServerResponse } from 'node:http';
import { LeaseholdError } from '../../../lib/index.ts';

// What little of a web framework the shop and its payment service need.

/** One request on its way to an answer. */
export interface Exchange {
  /** Whole numbers from the path, by name: `/orders/:id` gives `id`. */
  readonly params: Readonly<Record<string, number>>;
  readonly query: URLSearchParams;
  /** Method and route, never the path itself: labels are few, paths are many. */
  readonly label: string;
  /** Aborted when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
  readonly response: ServerResponse;
  /** The body as JSON. */
  body(): Promise<unknown>;
}

/** What a route answers is sent as JSON, unless it has written the response itself. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly about: string;
  handle(exchange: Exchange): unknown;
}

/** A failure to tell the client of. Any other error is none of its business. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** A function that deals with a request, and resolves once all is done that the request has set going. Never rejects. */
export function answer(
  routes: readonly Route[],
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const table = routes.map((route) => ({ route, pattern: compile(route.path) }));
  return (request, response) => {
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    return respond(table, request, response, gone.signal);
  };
}

type Table = readonly { readonly route: Route; readonly pattern: RegExp }[];

async function respond(table: Table, request: IncomingMessage, response: ServerResponse, signal: AbortSignal) {
  try {
    const { route, params, query } = find(table, request);
    const label = `${route.method} ${route.path}`;
    const value = await route.handle({ params, query, label, signal, response, body: () => readJson(request) });
    if (!response.headersSent) send(response, response.statusCode, value);
  } catch (error) {
    if (signal.aborted) return; // Nobody is left to be told, and whatever was held has gone back.
    const { status, message, headers } = failure(error);
    if (status === 500) console.error(`${request.method} ${request.url} failed:`, error);
    // A response that has begun can only be broken off, which the client can tell from one that has ended.
    if (response.headersSent) response.destroy();
    else send(response, status, { error: message }, headers);
  }
}

/** What a client is told of an error: nothing of the inside of the server. */
function failure(error: unknown): { status: number; message: string; headers?: Readonly<Record<string, string>> } {
  if (error instanceof HttpError) return error;
  if (error instanceof LeaseholdError) {
    switch (error.code) {
      case 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT':
      case 'ERR_LEASEHOLD_WRITE_TIMEOUT':
      case 'ERR_LEASEHOLD_QUEUE_FULL':
      case 'ERR_LEASEHOLD_CLOSED':
        return { status: 503, message: 'Too busy. Try again later.', headers: { 'Retry-After': '1' } };
    }
  }
  return { status: 500, message: 'Internal error.' };
}

function send(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
) {
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

/** `/orders/:id` as a pattern of whole paths. */
function compile(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}$`);
}

interface Match {
  readonly route: Route;
  readonly params: Record<string, number>;
  readonly query: URLSearchParams;
}

function find(table: Table, { method, url = '/' }: IncomingMessage): Match {
  const [path = '/', query] = url.split('?');
  const matches = table.flatMap(({ route, pattern }) => {
    const match = pattern.exec(path);
    return match === null ? [] : [{ route, groups: match.groups ?? {} }];
  });
  if (matches.length === 0) throw new HttpError(404, `There is no ${path}. GET / lists what there is.`);
  const match = matches.find(({ route }) => route.method === method);
  if (match === undefined) {
    const allowed = matches.map(({ route }) => route.method).join(', ');
    throw new HttpError(405, `${path} takes ${allowed}, not ${method}.`, { Allow: allowed });
  }
  const params = Object.entries(match.groups).map(([name, value]) => [name, toId(name, value)]);
  return { route: match.route, params: Object.fromEntries(params), query: new URLSearchParams(query) };
}

function toId(name: string, value: string): number {
  const id = /^\d{1,15}$/.test(value) ? Number(value) : 0;
  if (id === 0) throw new HttpError(400, `"${name}" must be a whole number from 1.`);
  return id;
}

// Bytes. An order takes some fifty.
const longestBody = 16_384;

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > longestBody) break;
  }
  if (length > longestBody) {
    request.resume(); // Drops the rest, so that the socket is fit for the next request.
    throw new HttpError(413, `The body is longer than ${longestBody} bytes.`);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new HttpError(400, 'The body is not JSON.');
  }
}
