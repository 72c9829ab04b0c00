import { NoConnectionError, OptionsError } from '../errors.ts';
import { isPromiseLike } from '../events.ts';
import { rules } from '../rules.ts';
import { Cover, type EndableResponse, HeldEnd } from './held-end.ts';
import {
  type Anchor,
  findScope,
  type RequestPool,
  requestOptions,
  type ScopeOfRequestOptions,
  scopeOfExchange,
  scopeOfRequestRules,
} from './request-scope.ts';
import { type TransactionalOptions, transact, transactionalSettings } from './transactional.ts';

export type { RequestPool, ScopeOfRequestOptions } from './request-scope.ts';
export type { TransactionalOptions } from './transactional.ts';

/** What is used of Fastify's request. */
export interface FastifyRequestLike {
  readonly raw: object;
  readonly method: string;
  readonly routeOptions: { readonly url?: string | undefined };
}

/** What is used of Fastify's reply. */
export interface FastifyReplyLike {
  readonly raw: EndableResponse;
  statusCode: number;
  // biome-ignore lint/suspicious/noExplicitAny: so that `send` fits for whatever a route may reply
  send(payload?: any): unknown;
  then(fulfilled: () => void, rejected: (error: Error) => void): void;
}

type Done = (error?: Error) => void;
type Hook = (request: FastifyRequestLike, reply: FastifyReplyLike, done: Done) => void;

/** What is used of a Fastify instance. */
export interface FastifyLike {
  addHook(name: 'onRequest' | 'preValidation', hook: Hook): unknown;
  decorateRequest(name: string, value: { getter(this: FastifyRequestLike): unknown }): unknown;
}

/** Options of the plugin. */
export interface FastifyOptions extends ScopeOfRequestOptions<FastifyRequestLike> {
  readonly pool: RequestPool;
  /**
   * What the connection of the request is called on it, `false` for none. For another pool in the same app, another name.
   * @defaultValue 'db'
   */
  readonly decorator?: string | false | undefined;
}

const pluginRules = {
  ...scopeOfRequestRules,
  pool: { allowed: 'a pool', accepts: (value: unknown) => typeof value === 'object' && value !== null },
  decorator: {
    allowed: 'a name, or false',
    accepts: (value: unknown) => value === false || rules.text.accepts(value),
  },
  // Fastify passes its own options of `register` on.
  prefix: { allowed: 'anything', accepts: () => true },
  logLevel: { allowed: 'anything', accepts: () => true },
  logSerializers: { allowed: 'anything', accepts: () => true },
};

/**
 * A plugin that gives each request a scope. What is called within finds the request's connection: `pool.db`, `pool.get` and
 * the like; `request.db` is that connection too, where no async context reaches. The scope ends when the reply has been
 * sent, streams included, or the client is gone; work of the request that goes on after that is refused.
 *
 * ```ts
 * await app.register(fastify, { pool });
 * ```
 *
 * Where the options are wrong, that rejects with an `OptionsError`.
 */
export function fastify(instance: FastifyLike, options: FastifyOptions, done: Done): void {
  try {
    register(instance, options);
  } catch (error) {
    // Fastify lets what is thrown here end the process.
    done(error as Error);
    return;
  }
  done();
}

function register(instance: FastifyLike, options: FastifyOptions): void {
  const { pool, decorator = 'db' } = options;
  const { eager, label } = requestOptions(options, routeOf, pluginRules);
  if (pool === undefined) throw new OptionsError('pool', pool, 'a pool');
  instance.addHook('onRequest', (request, reply, next) => {
    const own = scopeOfExchange(pool, request.raw as Anchor, reply.raw, () => label(request));
    own.enter(eager, next as (error?: unknown) => void);
  });
  // The body is parsed in events of the socket, which know nothing of the request.
  instance.addHook('preValidation', (request, _, next) => {
    const own = findScope(pool, request.raw as Anchor);
    if (own === undefined) next();
    else own.run(next);
  });
  if (decorator !== false) {
    instance.decorateRequest(decorator, {
      getter() {
        const own = findScope(pool, this.raw as Anchor);
        if (own === undefined) throw new NoConnectionError(pool.name, false);
        // In a transaction it is that of the transaction.
        return own.isHere ? (pool.current ?? own.scope.db) : own.scope.db;
      },
    });
  }
}

// What `fastify-plugin` would set: the hooks are those of the app that registers it, not of a context within.
Object.assign(fastify, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'leasehold',
  [Symbol.for('plugin-meta')]: { name: 'leasehold', fastify: '5.x' },
});

/** A handler of a route. Its parameters, and `this`, are those of the route it is given to. */
// biome-ignore lint/suspicious/noExplicitAny: what is inferred for it must not be narrowed by anything said here
export type FastifyHandler = (this: any, request: any, reply: any) => unknown;

/** How a handler came to its end: with something to send by `reply.send`, with an end of the raw response, or with what it returned. */
interface Outcome {
  readonly how: 'sent' | 'ended' | 'returned';
  readonly value?: unknown;
}

/**
 * Runs a handler in a transaction. It commits when the handler calls `reply.send`, ends the raw response, or has returned a
 * promise that resolves, whichever is first; only then the reply is sent. It rolls back when the handler throws or rejects,
 * when it sends an error, when the client goes away, and, where asked, by the status of the reply. Inside another it is a
 * savepoint of that.
 *
 * ```ts
 * app.post('/orders', transactional(pool, async (request, reply) => { … }));
 * ```
 *
 * @throws OptionsError
 */
export function transactional<Handler extends FastifyHandler>(
  pool: RequestPool,
  handler: Handler,
  options: TransactionalOptions = {},
): Handler {
  const { transaction, rollbackFrom } = transactionalSettings(pool, options, handler);
  function transacted(this: unknown, request: FastifyRequestLike, reply: FastifyReplyLike): Promise<unknown> {
    const own = scopeOfExchange(pool, request.raw as Anchor, reply.raw, () => routeOf(request));
    const { signal } = own;
    const transacting = async (): Promise<unknown> => {
      let held: HeldReply | undefined;
      const run = (): Promise<Outcome> => {
        held = new HeldReply(reply, () => handler.call(this, request, reply));
        return held.outcome;
      };
      const isKept = ({ value }: Outcome): boolean =>
        !(value instanceof Error) && (held as HeldReply).status < rollbackFrom;
      let outcome: Outcome;
      try {
        outcome = await transact(pool, run, isKept, { ...transaction, signal });
      } catch (error) {
        held?.drop();
        if (held === undefined || !signal.aborted) throw error;
        // Fastify is told what the handler comes to by itself, as of any whose client is gone.
        outcome = await held.outcome;
      }
      return (held as HeldReply).tell(outcome);
    };
    return own.run(transacting);
  }
  return transacted as Handler;
}

/** Keeps back what a handler replies, until it is known whether there is anything to tell. */
class HeldReply {
  readonly #reply: FastifyReplyLike;
  readonly #end: HeldEnd;
  readonly #original: FastifyReplyLike['send'];
  readonly #send: Cover;
  readonly outcome: Promise<Outcome>;
  /** What the handler returns, or rejects with. */
  readonly #rest: unknown;
  #status: number | undefined;
  #sent: Cover | undefined;
  /** What it sends after that, of which Fastify says that it is too late. */
  readonly #more: unknown[][] = [];
  #holds = true;

  constructor(reply: FastifyReplyLike, handler: () => unknown) {
    this.#reply = reply;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    this.outcome = promise;
    this.#end = new HeldEnd(reply.raw, () => resolve({ how: 'ended' }));
    const original = reply.send;
    this.#original = original;
    const send = (...parameters: unknown[]): unknown => {
      if (!this.#holds) return original.apply(reply, parameters as [unknown]);
      if (this.#sent === undefined) this.#hold(() => resolve({ how: 'sent', value: parameters[0] }));
      else this.#more.push(parameters);
      return reply;
    };
    // In the way of that of its class.
    this.#send = new Cover(reply, { send });
    let result: unknown;
    try {
      result = handler();
    } catch (error) {
      result = Promise.reject(error);
    }
    this.#rest = result;
    if (isPromiseLike(result)) result.then((value) => resolve({ how: 'returned', value }), reject);
    else if (result !== undefined) resolve({ how: 'returned', value: result });
  }

  get status(): number {
    return this.#status ?? this.#end.status;
  }

  #hold(resolve: () => void): void {
    this.#status = this.#reply.statusCode;
    this.#sent = new Cover(this.#reply, { sent: true });
    resolve();
  }

  /** From now on nothing is held. */
  drop(): void {
    this.#uncover();
    this.#end.drop();
  }

  /** Replies, and waits for what the handler comes to after that. */
  async tell({ how, value }: Outcome): Promise<unknown> {
    const more = this.#more.splice(0);
    this.#uncover();
    this.#end.release();
    if (how === 'returned') return value;
    if (how === 'sent') {
      // What was set after it was sent has never been part of it.
      if (this.#status !== undefined && this.#reply.statusCode !== this.#status) this.#reply.statusCode = this.#status;
      // Not by the name: what has wrapped that function would begin anew.
      this.#original.call(this.#reply, value);
      for (const parameters of more) this.#original.apply(this.#reply, parameters as [unknown]);
    }
    // Fastify is to hear of a handler that fails when it has replied.
    const rest = await this.#rest;
    if (how === 'ended') return rest;
    // Else Fastify would reply itself, while hooks still look at what is to be sent.
    await new Promise<void>((resolve) => {
      this.#reply.then(resolve, () => resolve());
    });
    return undefined;
  }

  #uncover(): void {
    this.#holds = false;
    this.#sent?.remove();
    this.#sent = undefined;
    this.#send.remove();
  }
}

function routeOf({ method, routeOptions }: FastifyRequestLike): string {
  return `${method} ${routeOptions.url ?? '*'}`;
}
