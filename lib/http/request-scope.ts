import { type Frame, frames } from '../context.ts';
import { isWithin, type ScopeRef } from '../holder.ts';
import type { OpenScope, OpenScopeOptions } from '../index.ts';
import type { checkTransaction } from '../pool/request.ts';
import { checkOptions, type Rule, rules } from '../rules.ts';

/** What the adapters need of a pool. */
export interface RequestPool<Handle extends object = object> {
  readonly name: string;
  /** The connection bound to the scope of the present context. */
  readonly current: Handle | undefined;
  openScope(options?: OpenScopeOptions): OpenScope<Handle>;
  /** Binds a connection to the scope of the present context. */
  connection(): Promise<Handle>;
  openTransaction(options?: RequestTransactionOptions): { readonly begun: Promise<RequestTransaction> };
  /** @internal Refuses options of a transaction that `openTransaction` would. */
  readonly [checkTransaction]?: ((options: object) => void) | undefined;
}

/** What is used of an open transaction. It is undone by itself with the scope it was opened in, and by its signal. */
export interface RequestTransaction {
  readonly ended: Promise<void>;
  run<Result>(fn: () => Result): Result;
  commit(): Promise<void>;
  rollback(reason?: unknown): Promise<void>;
}

/** What a transaction of a request may be given, as `pool.openTransaction` takes it. */
export interface RequestTransactionOptions {
  readonly mode?: 'immediate' | 'deferred' | 'exclusive' | 'read' | undefined;
  readonly label?: string | undefined;
  readonly timeout?: number | undefined;
  readonly priority?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of each adapter. `Request` is what its framework passes for a request. */
export interface ScopeOfRequestOptions<Request> {
  /**
   * Binds a connection before the handler runs, so that `pool.db` works in it at once. Else a request that never asks for
   * one costs none.
   * @defaultValue false
   */
  readonly eager?: boolean | undefined;

  /**
   * Who asks, in messages, events and `stats({ by: 'label' })`: a text, or a function of the request that is called whenever
   * it is needed.
   * @defaultValue the method and the route
   */
  readonly label?: string | ((request: Request) => string | undefined) | undefined;
}

export const scopeOfRequestRules = {
  eager: rules.boolean,
  label: { allowed: 'a string or a function', accepts: (value) => ['string', 'function'].includes(typeof value) },
} as const satisfies Record<keyof ScopeOfRequestOptions<unknown>, Rule>;

/** Checks the options of an adapter, and says what labels its requests. @throws OptionsError */
export function requestOptions<Request>(
  options: ScopeOfRequestOptions<Request>,
  route: (request: Request) => string | undefined,
  known: Readonly<Record<string, Rule>> = scopeOfRequestRules,
): { readonly eager: boolean; readonly label: (request: Request) => string | undefined } {
  const { eager = false, label = route } = checkOptions(options, known);
  return { eager, label: typeof label === 'string' ? () => label : label };
}

/** What is used of Node's `ServerResponse`, of HTTP/1 and HTTP/2. */
export interface ServerResponseLike {
  readonly writableEnded: boolean;
  readonly destroyed?: boolean;
  readonly closed?: boolean;
  /** Whoever makes a response by other means than Node's server may leave it out. */
  readonly req?: object | undefined;
  on(event: 'close', listener: () => void): unknown;
}

/** The rest of what is used of Node's request and response, where it is there. */
interface NodeExchange extends ServerResponseLike, Emitter {
  readonly socket?: object | null;
  /** Of HTTP/2, whose responses do not say themselves that they are over. */
  readonly stream?: { readonly destroyed?: boolean; readonly closed?: boolean } | null;
  readonly req?:
    | (Emitter & { readonly method?: string; readonly httpVersionMajor?: number; readonly socket?: Socket | null })
    | undefined;
}

interface Emitter {
  // biome-ignore lint/suspicious/noExplicitAny: as Node has it
  emit(event: string | symbol, ...parameters: any[]): boolean;
}

const live = Symbol('leasehold.live');

interface Socket {
  /** What is to be told when it closes. */
  [live]?: Live;
  readonly destroyed?: boolean;
  on(event: 'close', listener: () => void): unknown;
}

const scopes = Symbol('leasehold.scopes');

/** The object that stands for one request, by which its scopes are found again. */
export interface Anchor {
  [scopes]?: RequestScope | undefined;
}

/**
 * The scope of one request in one pool.
 *
 * Invariant: it ends when the response has been sent or its connection is gone, whichever comes first, or before that by
 * `end`. Its signal is aborted only where the connection went before the response was complete.
 */
export class RequestScope<Handle extends object = object> {
  readonly pool: RequestPool<Handle>;
  /** Made when somebody asks for the signal: most requests never wait for anything. */
  #gone: AbortController | undefined;
  readonly scope: OpenScope<Handle>;
  /** That of another pool for the same request. */
  readonly next: RequestScope | undefined;
  #ref: ScopeRef | undefined;

  constructor(pool: RequestPool<Handle>, label: () => string | undefined, next?: RequestScope) {
    this.pool = pool;
    this.scope = pool.openScope({ label, signal: () => this.signal });
    this.next = next;
  }

  /** Aborted when the client is gone. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  /** Runs `fn` in the scope. What is in it already stays where it is: in a transaction, perhaps. */
  run<Result>(fn: () => Result): Result {
    return this.isHere ? fn() : this.scope.run(fn);
  }

  /** Whether the present context is in the scope, or in one within it. */
  get isHere(): boolean {
    let frame = frames.getStore();
    if (frame === undefined) return false;
    this.#ref ??= this.scope.run(() => frames.getStore()?.ref) as ScopeRef;
    for (; frame !== undefined; frame = frame.next) if (isWithin(frame.ref, this.#ref)) return true;
    return false;
  }

  /** Ends with a response of Node. */
  endWith(response: ServerResponseLike): void {
    const { req, socket, stream } = response as NodeExchange;
    const isFirst = req?.httpVersionMajor === 1;
    const connection = isFirst ? req?.socket : undefined;
    // Its event will not come again.
    if (isOver(response) || isOver(connection) || isOver(stream)) {
      this.#leave(response);
      return;
    }
    // The context of what reads a body, and of what sends a response that has to wait for those before it, is that of the
    // connection, or of another request.
    if (req !== undefined && req.method !== 'GET' && req.method !== 'HEAD') this.#enterEventsOf(req);
    if (req !== undefined && (!isFirst || socket == null)) this.#enterEventsOf(response as NodeExchange);
    // No response is closed that has to wait for another, before Node.js 24, nor one that has lost its socket.
    const onSocket = connection?.on === undefined ? undefined : liveOn(connection);
    const left = (): void => {
      onSocket?.delete(left);
      this.#leave(response);
    };
    onSocket?.add(left);
    response.on('close', left);
    // One that waits for another response to be sent first is over for its handler when it is ended: that other may need what
    // this has.
    if (isFirst && socket == null) after(response, 'end', () => void (response.writableEnded && left()));
  }

  #leave(response: ServerResponseLike): void {
    // A response that was ended is complete as far as its handler is concerned, however much the client takes of it.
    if (response.writableEnded) {
      this.end();
      return;
    }
    this.abort();
    // What that has interrupted gets time to give back what it has. Only what is then left over is reported.
    setImmediate(() => this.end());
  }

  end(): void {
    void this.scope.end();
  }

  /** Lets listeners find the scope. */
  #enterEventsOf(emitter: Emitter): void {
    const { emit } = emitter;
    if (typeof emit !== 'function') return;
    emitter.emit = (...parameters) => this.run(() => emit.apply(emitter, parameters));
  }

  /** The one who asked is gone. */
  abort(): void {
    // As Node reports it on the request.
    this.#gone ??= new AbortController();
    this.#gone.abort(Object.assign(new Error('The client closed the connection'), { code: 'ECONNRESET' }));
  }

  /** Binds a connection, if one is to be there before the handler, then calls `next` in the scope. */
  enter(eager: boolean, next: (error?: unknown) => void): void {
    this.run(() => {
      if (!eager) next();
      else this.pool.connection().then(() => next(), next);
    });
  }
}

/** Has `then` called after each call of a method. */
function after(target: object, method: string, then: () => void): void {
  const call = Reflect.get(target, method) as (...parameters: unknown[]) => unknown;
  const called = (...parameters: unknown[]): unknown => {
    const result = call.apply(target, parameters);
    then();
    return result;
  };
  Object.defineProperty(target, method, { value: called, configurable: true, writable: true });
}

function isOver(it: { readonly destroyed?: boolean; readonly closed?: boolean } | null | undefined): boolean {
  return it?.destroyed === true || it?.closed === true;
}

/** Who is to be told when a connection of a client closes: one listener on it, however many requests it carries. */
class Live {
  /** Nearly always there is one request at a time. */
  #one: (() => void) | undefined;
  #others: Set<() => void> | undefined;

  add(left: () => void): void {
    if (this.#one === undefined) this.#one = left;
    else {
      this.#others ??= new Set();
      this.#others.add(left);
    }
  }

  delete(left: () => void): void {
    if (this.#one === left) this.#one = undefined;
    else this.#others?.delete(left);
  }

  tell(): void {
    this.#one?.();
    for (const left of this.#others ?? []) left();
  }
}

function liveOn(socket: Socket): Live {
  const known = socket[live];
  if (known !== undefined) return known;
  const made = new Live();
  socket[live] = made;
  socket.on('close', () => made.tell());
  return made;
}

/** The scope of a request in a pool, `undefined` if it has none. */
export function findScope<Handle extends object>(
  pool: RequestPool<Handle>,
  anchor: Anchor,
): RequestScope<Handle> | undefined {
  let found = anchor[scopes];
  while (found !== undefined && found.pool !== pool) found = found.next;
  return found as RequestScope<Handle> | undefined;
}

/** Opens the scope of a request. Who opens it sees to its end. */
export function openRequestScope<Handle extends object>(
  pool: RequestPool<Handle>,
  anchor: Anchor,
  label: () => string | undefined,
): RequestScope<Handle> {
  const opened = new RequestScope(pool, label, anchor[scopes]);
  anchor[scopes] = opened;
  return opened;
}

/** The scope of a request that Node answers, opened where there is none. It is part of no other, wherever the request comes from. */
export function scopeOfExchange<Handle extends object>(
  pool: RequestPool<Handle>,
  anchor: Anchor,
  response: ServerResponseLike,
  label: () => string | undefined,
): RequestScope<Handle> {
  const found = findScope(pool, anchor);
  if (found !== undefined) return found;
  const before = anchor[scopes];
  const open = (): RequestScope<Handle> => openRequestScope(pool, anchor, label);
  const opened = before === undefined ? outside(open) : before.run(open);
  opened.endWith(response);
  return opened;
}

/** Runs `fn` in no scope: requests that share a connection may begin in the context of one another. */
function outside<Result>(fn: () => Result): Result {
  return frames.getStore() === undefined ? fn() : frames.run(undefined as unknown as Frame, fn);
}

/** What stands for a route in a label: the method, and the path without what is asked of it. */
export function pathLabel(method: string | undefined, url: string | undefined): string {
  const [path = '/'] = (url ?? '/').split('?', 1);
  return `${method ?? 'GET'} ${path}`;
}
