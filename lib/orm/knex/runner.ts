import type { Transform } from 'node:stream';
// Knex's runner comes without types.
// @ts-expect-error
import Runner from 'knex/lib/execution/runner.js';
import { fromHere, type Relay } from '../../pool/request.ts';
import type { SqlitePool } from '../../sqlite/pool.ts';
import { KnexConnection } from './connection.ts';

/** A query as Knex has compiled it, as far as its runner is concerned. */
interface Query {
  /** What was given by `.timeout()`. */
  readonly timeout?: number | false;
}

/** What is used of Knex's runner, which takes one builder through its queries. */
interface BaseRunner {
  readonly client: Client;
  readonly connection: unknown;
  ensureConnection(use: Use, params?: unknown): Promise<unknown>;
  query(query: Query): Promise<unknown>;
  stream(...params: readonly unknown[]): unknown;
}

interface Client {
  source(): SqlitePool;
}

type Use = (runner: unknown, params?: unknown) => unknown;

type RunnerClass = new (client: Client, builder: unknown) => BaseRunner;

/** Ends the wait of each query whose time is limited. Not on the query, because Knex shows that to its listeners. */
const limits = new WeakMap<object, AbortController>();

/** Aborted when the time of a query is over, `undefined` where that is not limited. */
export function limitOf(query: object): AbortSignal | undefined {
  return limits.get(query)?.signal;
}

/** Knex's runner, but for what becomes of what nobody wants any more. */
export class PoolRunner extends (Runner as RunnerClass) {
  /** From where a stream was asked for. */
  #relay: Relay | undefined;

  override ensureConnection(use: Use, params?: unknown): Promise<unknown> {
    const placed: Use = (...given) => {
      const { connection } = this;
      // Here those who await a query are near: in each step that it takes from here, V8 tells less of them.
      if (connection instanceof KnexConnection)
        connection.relay ??= this.#relay ?? this.client.source()[fromHere](placed);
      return use(...given);
    };
    return super.ensureConnection(placed, params);
  }

  override query(query: Query): Promise<unknown> {
    return query.timeout ? this.#limited(query) : super.query(query);
  }

  override stream(...params: readonly unknown[]): unknown {
    this.#relay = this.client.source()[fromHere](this.stream);
    return super.stream(...params.map((param) => (typeof param === 'function' ? ending(param as Handler) : param)));
  }

  /** Whoever limits the time of a query wants it to be over then: if it still waits it shall not run later. */
  async #limited(query: Query): Promise<unknown> {
    const limit = new AbortController();
    limits.set(query, limit);
    try {
      return await super.query(query);
    } catch (error) {
      // Here, because Knex's way to cancel names a connection, on which others may wait as well.
      limit.abort();
      throw error;
    }
  }
}

type Handler = (stream: Transform) => unknown;

/** A handler that ends its stream where it throws: nobody is going to read that. */
function ending(handler: Handler): Handler {
  return (stream) => {
    try {
      return handler(stream);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  };
}
