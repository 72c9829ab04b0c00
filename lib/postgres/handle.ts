import { type InspectOptions, inspect } from 'node:util';
import {
  escapeIdentifier,
  escapeLiteral,
  type QueryArrayConfig,
  type QueryArrayResult,
  type QueryConfig,
  type QueryResult,
  type QueryResultRow,
  type Submittable,
} from 'pg';
import { OptionsError } from '../errors.ts';
import { inOrder } from '../wording.ts';
import { Inbox } from './inbox.ts';
import { type IterateOptions, iterate } from './iterate.ts';
import type { Stream } from './operation.ts';
import { callbackOf, type QueryCall, type QueryOptions, readCall } from './query-call.ts';
import type { ConnectionEvents, Session } from './session.ts';

// A symbol rather than a private field, as in the handle of SQLite: so that what is proxied works.
const session = Symbol('session');
const source = Symbol('source');

/** What both handles do with a session: that of one lease, or that of whatever lease the scope holds. */
abstract class ClientHandle {
  /** @internal */
  abstract readonly [session]: Session;

  /** Whether the lease is still held. */
  abstract readonly open: boolean;

  /** As of the last statement that has ended. */
  get inTransaction(): boolean {
    return this.open && this[session].isInTransaction;
  }

  /** A cursor of `pg-cursor`, a stream of `pg-query-stream` or `pg-copy-streams`: returned as it is. */
  query<Stream extends Submittable>(stream: Stream): Stream;
  /** A query in pg's forms, with its results. What is asked for on one connection runs in that order. */
  query<Row extends unknown[] = unknown[]>(
    config: QueryArrayConfig & QueryOptions,
    values?: readonly unknown[],
  ): Promise<QueryArrayResult<Row>>;
  query<Row extends QueryResultRow = QueryResultRow>(
    query: string | (QueryConfig & QueryOptions),
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
  query<Row extends QueryResultRow = QueryResultRow>(
    query: string | QueryConfig,
    callback: (error: Error | null, result: QueryResult<Row>) => void,
  ): void;
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values: readonly unknown[],
    callback: (error: Error | null, result: QueryResult<Row>) => void,
  ): void;
  query(query: unknown, second?: unknown, third?: unknown): unknown {
    if (typeof query === 'object' && query !== null && 'submit' in query) {
      return streamTo(this[session], readCall(query, second, third));
    }
    const callback = callbackOf(second, third);
    const answering = answer(this, query, second, third);
    if (callback === undefined) return answering;
    answering.then(
      (result) => process.nextTick(callback, null, result as never),
      (error: unknown) => process.nextTick(callback as (reason: unknown) => void, error),
    );
    return undefined;
  }

  /**
   * The rows of a query one by one, fetched in batches by a cursor of the optional package `pg-cursor`. Leaving the loop closes
   * it. Until then the connection does nothing else: other queries on it throw `ERR_LEASEHOLD_CONNECTION_BUSY`. Outside a
   * transaction, what a query writes (`INSERT … RETURNING`) is committed when the loop ends, however it does.
   */
  iterate<Row = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: IterateOptions,
  ): AsyncGenerator<Row, void, undefined> {
    return iterate(this[session], text, values, options) as AsyncGenerator<Row, void, undefined>;
  }

  /**
   * Listens on a channel until the end of the loop that reads it, or of the lease. The lease has to be held for as long: take one
   * with `acquire`, rather than for a request.
   */
  async listen(channel: string): Promise<Inbox> {
    // The server would cut it, and tell of what comes by the shorter name.
    if (typeof channel !== 'string' || channel === '' || Buffer.byteLength(channel) > 63) {
      throw new OptionsError('channel', channel, 'a name of 1 to 63 bytes');
    }
    const inbox = new Inbox(this[session], channel);
    await inbox.open();
    return inbox;
  }

  /** Calls `listener` with what the server says without being asked, until the end of the lease. */
  on<Name extends keyof ConnectionEvents>(name: Name, listener: (event: ConnectionEvents[Name]) => void): this {
    this[session].addListener(name, listener as (event: unknown) => void);
    return this;
  }

  off<Name extends keyof ConnectionEvents>(name: Name, listener: (event: ConnectionEvents[Name]) => void): this {
    this[session].removeListener(name, listener as (event: unknown) => void);
    return this;
  }

  escapeIdentifier(name: string): string {
    return escapeIdentifier(name);
  }

  escapeLiteral(text: string): string {
    return escapeLiteral(text);
  }

  /** Gives the connection back to the pool; it stays open. A second call is a no-op, and counted. */
  release(): void {
    void this[session].lease.release();
  }

  /** Has the connection closed instead of pooled when it comes back, because nobody should use it again. */
  discard(reason = 'discarded by its holder'): this {
    const { lease } = this[session];
    if (lease.ended) throw lease.endedError();
    lease.discard(reason);
    return this;
  }

  [Symbol.dispose](): void {
    if (this.open) this.release();
  }

  /** Resolves when the connection is back, after the clean-up and the `onRelease` hook. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.open) await this[session].lease.release();
  }
}

/**
 * The handle of one lease: `query` in pg's own forms with its results, cursors, streams and notifications. From the end of the
 * lease on everything throws `ERR_LEASEHOLD_RELEASED`, or `ERR_LEASEHOLD_SCOPE_ENDED` where the scope has ended; what runs at that
 * moment is cancelled on the server.
 */
export class LeasedClient extends ClientHandle implements Disposable, AsyncDisposable {
  /** @internal Left out of the published types, so that `pool.db` passes for a handle. */
  readonly [session]: Session;

  constructor(of: Session) {
    super();
    this[session] = of;
  }

  get open(): boolean {
    return !this[session].lease.ended;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { open, inTransaction } = this;
    return `LeasedClient ${inOrder(inspect({ pool: this[session].lease.pool, open, inTransaction }, options))}`;
  }
}

/** Where an ambient handle finds its connection. */
export interface AmbientSource {
  readonly pool: string;
  /** The handle bound to the current scope. Throws where there is none. */
  handle(): LeasedClient;
  /** The same, `undefined` where there is none. */
  current(): LeasedClient | undefined;
}

/**
 * `pool.db`: a handle of whatever connection the current scope holds. Where none is bound, every use throws
 * `ERR_LEASEHOLD_NO_CONNECTION`, or `ERR_LEASEHOLD_SCOPE_ENDED` where the scope has ended.
 */
export class AmbientClient extends ClientHandle implements Disposable, AsyncDisposable {
  /** @internal */
  readonly [source]: AmbientSource;

  constructor(of: AmbientSource) {
    super();
    this[source] = of;
  }

  /** @internal */
  get [session](): Session {
    return this[source].handle()[session];
  }

  override get inTransaction(): boolean {
    return this[session].isInTransaction;
  }

  /** Whether a connection is bound here. */
  get open(): boolean {
    return this[source].current() !== undefined;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `AmbientClient ${inOrder(inspect({ pool: this[source].pool, open: this.open }, options))}`;
  }
}

/** The session a handle stands for. */
export function sessionOf(handle: LeasedClient): Session {
  return handle[session];
}

/** Whatever is wrong comes with the promise, as in pg. */
function answer(handle: ClientHandle, query: unknown, second: unknown, third: unknown): Promise<unknown> {
  try {
    const { config, values, signal } = readCall(query, second, third);
    return handle[session].query(config, values, signal);
  } catch (error) {
    return Promise.reject(error);
  }
}

function streamTo(of: Session, { stream, callback }: QueryCall): Stream {
  if (stream === undefined) throw new OptionsError('query', stream, 'something that pg can submit');
  if (callback !== undefined && (stream.callback === undefined || stream.callback === null)) stream.callback = callback;
  of.stream(stream);
  return stream;
}
