import { type Client, type Connection, DatabaseError, Query, type QueryConfig, type Submittable } from 'pg';
import { AbortError } from '../errors.ts';

/** What an operation needs to know of the connection that it runs on. */
export interface OperationHost {
  readonly client: Client;
  /** The name under which this connection has, or will have, a text prepared. */
  statementName(text: string): string;
  forgetStatement(text: string): void;
  /** Forgets a statement that the server does not have: for certain, or where it was never taken. */
  forgetLost(text: string, isGone: boolean): void;
  /** The server has refused something, and is to come to rest. */
  failed(operation: Operation): void;
  /** What runs on it now. */
  readonly active: Operation | undefined;
  /** Has the server end what runs now, for the sake of `error`. */
  cancel(operation: Operation, error: unknown): void;
  /** Ends the connection at once. */
  destroy(): void;
}

/** What came of it, once the connection is at rest again. */
export type Outcome = { readonly error: unknown } | { readonly result: unknown };

/** What whoever asks for an operation has to say in it. */
export interface Terms {
  readonly signal?: AbortSignal | undefined;
  /** Called when its turn comes, if it had to wait. Throws where it may not run any more. */
  admit?(): void;
  /**
   * Called in the step in which the connection is at rest, before anything else runs on it. What is returned is thrown instead
   * of the error; what it throws is the outcome.
   */
  settle?(outcome: Outcome): unknown;
}

/** Whoever reads or writes a stream may take all the time he wants, and nothing else runs meanwhile. */
interface Streaming {
  /** Has its user told of an error, and says whether. Where something is under way for him, only the server can end that. */
  end(error: unknown, connection: Connection): boolean;
  /** Whether it waits for its user no more: all is read or written, or has failed. The server is about to come to rest by itself. */
  isOver(): boolean;
  /** Of what only reads: whether the server goes on with what is left of it, though its user reads no more. */
  readonly isLeft?: (() => boolean) | undefined;
}

/**
 * Something to be run on one connection, one at a time, in the order it was asked for.
 *
 * Invariant: `promise` settles exactly once. The caller may be told before the server has come to its end, then nothing else runs
 * on the connection until it has.
 */
export abstract class Operation {
  readonly promise: Promise<unknown>;
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: unknown) => void;
  readonly #terms: Terms;
  readonly #streaming: Streaming | undefined;
  #outcome: Outcome | undefined;
  #host: OperationHost | undefined;
  #isSettled = false;

  constructor(terms: Terms, streaming?: Streaming) {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#terms = terms;
    this.#streaming = streaming;
    const { signal } = terms;
    if (signal === undefined) return;
    if (signal.aborted) this.fail(new AbortError(signal));
    else signal.addEventListener('abort', this, { once: true });
  }

  /** Hands it to pg. */
  protected abstract submit(host: OperationHost): void;

  /** What pg says of it. */
  protected done(error: unknown, result: unknown): void {
    const isFailure = error !== null && error !== undefined;
    this.#outcome ??= isFailure ? { error } : { result };
    if (isFailure) this.#host?.failed(this);
  }

  /** Whether it goes on as its user reads or writes. */
  get isStream(): boolean {
    return this.#streaming !== undefined;
  }

  /** Whether it waits for its user. */
  get isStreaming(): boolean {
    return this.#streaming?.isOver() === false;
  }

  /** Ends it where it waits for its user. Says whether the server is about to come to rest by that. */
  endStream(error: unknown): boolean {
    const host = this.#host;
    if (host === undefined || !this.isStreaming) return false;
    return this.#streaming?.end(error, host.client.connection) === true;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Whether the server has been asked for it. */
  get isSubmitted(): boolean {
    return this.#host !== undefined;
  }

  /** Says whether it was handed to the server. If not, its caller has been told why. */
  start(host: OperationHost, hasWaited: boolean): boolean {
    // Its caller was told that it is over while it waited.
    if (this.#isSettled) return false;
    try {
      if (hasWaited) this.#terms.admit?.();
      this.#host = host;
      this.submit(host);
      return true;
    } catch (error) {
      this.#host = undefined;
      this.fail(error);
      return false;
    }
  }

  /** The connection is at rest: whatever was to come has come. */
  finish(): void {
    const { signal } = this.#terms;
    let outcome: Outcome = this.#outcome ?? { result: undefined };
    // Whether it was in time or not, whoever has aborted it does not want it.
    if (signal?.aborted) outcome = { error: new AbortError(signal) };
    try {
      const instead = this.#terms.settle?.(outcome);
      if ('error' in outcome) this.fail(instead ?? outcome.error);
      else if (this.#isNew()) this.#resolve(outcome.result);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The connection is lost. What the server said last is nearer to the cause. */
  lose(error: unknown): void {
    this.#outcome ??= { error };
    this.finish();
  }

  fail(error: unknown): void {
    if (!this.#isNew()) return;
    // The stack of a server's error leads to the socket, and has to lead to the caller, whom only a reaction of this promise
    // knows. Made where something has failed, rather than for each query.
    if (error instanceof DatabaseError) this.#resolve(restacked(error));
    else this.#reject(error);
  }

  /** @internal The signal is aborted. What runs is ended on the server first: the connection can be used again once that has answered. */
  handleEvent(): void {
    const error = new AbortError(this.#terms.signal as AbortSignal);
    if (this.#host === undefined) this.fail(error);
    else this.#host.cancel(this, error);
  }

  /** Whether it is not settled yet, which it is from now on. */
  #isNew(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#terms.signal?.removeEventListener('abort', this);
    return true;
  }
}

/** pg's own class has these beside what is published: its statement is named when it is submitted. */
interface PgQuery extends Submittable {
  name: string | undefined;
  text: string;
}

/** A query in one of pg's forms. Values are read now; they reach the server in their turn. */
export class QueryOperation extends Operation {
  readonly #query: PgQuery;
  /** Where it is prepared, if it is one that is kept. */
  #keeper: OperationHost | undefined;
  #error: unknown;

  constructor(config: string | QueryConfig, values: unknown[] | undefined, terms: Terms) {
    super(terms);
    const callback = (error: unknown, result: unknown): void => {
      this.#error ??= error;
      this.done(error, result);
    };
    this.#query = makeQuery(config, values, callback) as unknown as PgQuery;
  }

  override finish(): void {
    // Not before: pg may still hear that it was prepared.
    if (this.#keeper !== undefined) forgetStale(this.#keeper, this.#query.text, this.#error);
    super.finish();
  }

  protected override submit(host: OperationHost): void {
    const query = this.#query;
    if (isNamed(query)) {
      this.#keeper = host;
      query.name = host.statementName(query.text);
    }
    host.client.query(query);
  }
}

/** pg copies an object by the descriptors of its properties, which takes as long as all the rest: not where there is only a name. */
function makeQuery(
  config: string | QueryConfig,
  values: unknown[] | undefined,
  callback: (error: unknown, result: unknown) => void,
): object {
  if (typeof config === 'string') return new Query(config, values, callback);
  const { text, values: own, name, ...others } = config;
  for (const _ in others) return new Query(config, values, callback);
  const query = new Query(text, values ?? own, callback);
  return Object.assign(query, { name });
}

function isNamed(query: object): query is PgQuery {
  return 'name' in query && typeof query.name === 'string' && query.name !== '';
}

/** It is prepared anew the next time where its plan does not fit what the tables are now, or the server does not have it. */
function forgetStale(host: OperationHost, text: string, error: unknown): void {
  if (error === null || error === undefined) return;
  const code = error instanceof DatabaseError ? error.code : undefined;
  if (code === '0A000') host.forgetStatement(text);
  // pg takes it back where a value can not be sent.
  else host.forgetLost(text, code === undefined || code === '26000');
}

/** What `pg-cursor`, `pg-query-stream` and `pg-copy-streams` make. */
export interface Stream extends Submittable {
  readonly text?: unknown;
  /** Of a cursor. */
  readonly state?: unknown;
  readonly cursor?: Stream;
  readonly readableEnded?: boolean;
  readonly writableEnded?: boolean;
  readonly destroyed?: boolean;
  callback?: unknown;
  handleError?(error: unknown, connection: Connection): void;
  on?(event: string, listener: () => void): unknown;
  once?(event: string, listener: () => void): unknown;
  read?: unknown;
  write?: unknown;
  destroy?(error?: unknown): unknown;
}

/** It tells of its result, and of its errors, by itself. */
export class StreamOperation extends Operation {
  readonly #stream: Stream;
  readonly #isLeft: Streaming['isLeft'];

  constructor(stream: Stream, terms: Terms) {
    const streaming = streamingOf(stream);
    super(terms, streaming);
    this.#stream = stream;
    this.#isLeft = streaming?.isLeft;
  }

  protected override submit(host: OperationHost): void {
    const stream = this.#stream;
    if (stream.destroyed === true) {
      stream.on?.('error', ignore);
      throw new Error('The stream was destroyed before its turn came');
    }
    nameWithin(stream, host);
    // What is left of a COPY that nobody reads to its end stands in the way of all that follows.
    const isLeft = this.#isLeft;
    if (isLeft !== undefined) {
      stream.once?.('close', () => {
        if (host.active !== this || !isLeft()) return;
        // Who has closed it wants to know no more of it.
        stream.on?.('error', ignore);
        host.destroy();
      });
    }
    host.client.query(stream);
  }
}

/** A `Query` of pg's own that has a name. */
function nameWithin(stream: object, host: OperationHost): void {
  if (isNamed(stream)) stream.name = host.statementName(stream.text);
}

function ignore(): void {}

const nothing = Promise.resolve();

// Between the caller and this there are a few promises, each of which takes over the one below in turns of its own.
const turns = 8;

/** Rejects once somebody waits for that: V8 looks at who does, where it is one alone. */
export async function restacked(error: DatabaseError): Promise<never> {
  for (let turn = 0; turn < turns; turn++) await nothing;
  Error.captureStackTrace(error);
  throw error;
}

/** A cursor that was read before the server has described its rows calls itself idle in its first fetch. */
function isFetching(cursor: Stream): boolean {
  return (Reflect.get(cursor, '_cb') ?? null) !== null;
}

function streamingOf(stream: Stream): Streaming | undefined {
  const cursor = stream.cursor ?? stream;
  if (cursor.state !== undefined) {
    return {
      isOver: () => cursor.state === 'error' || cursor.state === 'done',
      // As if the server had told it. In a fetch that will, and a second error would have a second answer.
      end: (error, connection) => {
        if (cursor.state !== 'idle' || isFetching(cursor)) return false;
        cursor.handleError?.(error, connection);
        // What the server says by itself in that moment would have it send a second Sync, and all answers after that were for others.
        cursor.handleError = ignore;
        stream.handleError = ignore;
        return true;
      },
    };
  }
  const isLeft = typeof stream.read === 'function' ? leftOf(stream) : undefined;
  if (typeof stream.write === 'function') {
    return {
      isLeft,
      isOver: () => stream.writableEnded === true || stream.destroyed === true,
      end: (error) => {
        stream.destroy?.(error);
        return true;
      },
    };
  }
  if (isLeft === undefined) return undefined;
  return {
    isLeft,
    isOver: () => !isLeft() || stream.destroyed === true,
    end: (error) => {
      stream.destroy?.(error);
      return false;
    },
  };
}

/** Nothing is left either of what the server has refused, or ended, whether that destroys the stream or not. */
function leftOf(stream: Stream): () => boolean {
  const { handleError } = stream;
  let isRefused = false;
  stream.handleError = (error, connection) => {
    isRefused = true;
    handleError?.call(stream, error, connection);
  };
  return () => !isRefused && stream.readableEnded !== true;
}
