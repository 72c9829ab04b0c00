import { isCrossSite, type Peer, strangeness } from './access.ts';
import type { Monitor } from './monitor.ts';
import type { InspectorOptions } from './options.ts';
import { page } from './page.generated.ts';
import { common, plain } from './plain.ts';
import { eventStream } from './stream.ts';

// Each keeps a connection of the server open, and is told twice a second.
const mostStreams = 50;

const ofPage = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': page.policy,
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
} as const;

/** Answers the requests for one inspector. Nothing that is asked of it changes anything. */
export class Answers {
  readonly #monitor: Monitor;
  readonly #authorize: InspectorOptions['authorize'];
  /** Of what `authorize` has returned, by which of it: each body is read once. */
  readonly #bodies = new WeakMap<Response, Promise<ArrayBuffer>>();
  #streams = 0;

  constructor(monitor: Monitor, authorize: InspectorOptions['authorize']) {
    this.#monitor = monitor;
    this.#authorize = authorize;
  }

  /** What `authorize` throws passes through. */
  async answer(request: Request, peer: Peer): Promise<Response> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return plain(405, 'There is nothing to change here.', { allow: 'GET, HEAD' });
    }
    const url = new URL(request.url);
    const part = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
    const refusal = await this.#refuse(request, peer, isOfData(part));
    if (refusal !== undefined) return refusal;
    switch (part) {
      case 'data':
        return this.#data(url.searchParams);
      case 'lease':
        return this.#lease(url.searchParams);
      case 'events':
        return this.#events(request);
      default:
        return new Response(page.html, { headers: { ...common, ...ofPage } });
    }
  }

  async #refuse(request: Request, peer: Peer, isForPage: boolean): Promise<Response | undefined> {
    if (isForPage && isCrossSite(request)) return plain(403, 'This is for the page of the inspector, not for others.');
    if (this.#authorize === undefined) {
      const why = strangeness(request, peer);
      const remedy = 'Without "authorize", only clients on the same machine may see the inspector';
      return why === undefined ? undefined : plain(403, `${remedy}, and ${why}.`);
    }
    const verdict: unknown = await this.#authorize(request);
    if (verdict instanceof Response) return await this.#copyOf(verdict);
    return verdict === true ? undefined : plain(403, 'You may not see the inspector.');
  }

  /**
   * The same one may be returned for the next request, too. A clone for each would be a chain of streams, of which those that
   * nobody reads, because their client has gone, keep all the others.
   */
  async #copyOf(verdict: Response): Promise<Response> {
    const { body, status, statusText, headers } = verdict;
    if (body === null) return new Response(null, { status, statusText, headers });
    const bytes = this.#bodies.get(verdict) ?? verdict.clone().arrayBuffer();
    this.#bodies.set(verdict, bytes);
    return new Response(await bytes, { status, statusText, headers });
  }

  #data(query: URLSearchParams): Response {
    const after = numberOf(query, 'after');
    const isKnown = query.get('server') === this.#monitor.id;
    return json(this.#monitor.report(isKnown ? after : undefined));
  }

  #lease(query: URLSearchParams): Response {
    const pool = numberOf(query, 'pool');
    const lease = numberOf(query, 'lease');
    if (pool === undefined || lease === undefined) {
      return plain(400, 'Say which lease: ?pool=1&lease=42, by their numbers.');
    }
    const detail = this.#monitor.detail(pool, lease);
    return detail === undefined ? plain(404, 'Nothing is known of this lease any more.') : json(detail);
  }

  #events({ method }: Request): Response {
    // An EventSource does not come back after this. Polling goes on.
    if (this.#monitor.isOver) return new Response(null, { status: 204, headers: common });
    if (this.#streams >= mostStreams) {
      return plain(503, `Already ${mostStreams} look at this inspector. "data" can be asked for instead.`, {
        'retry-after': '5',
      });
    }
    const headers = { ...common, 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };
    if (method === 'HEAD') return new Response(null, { headers });
    this.#streams++;
    const onEnd = (): void => {
      this.#streams--;
    };
    return new Response(eventStream(this.#monitor, onEnd), { headers });
  }
}

function isOfData(part: string): boolean {
  return part === 'data' || part === 'lease' || part === 'events';
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name) ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function json(body: string): Response {
  return new Response(body, { headers: { ...common, 'content-type': 'application/json' } });
}
