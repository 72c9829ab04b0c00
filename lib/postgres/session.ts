import { AsyncLocalStorage } from 'node:async_hooks';
import type pg from 'pg';
import type { LeaseControl } from '../driver.ts';
import { AbortError, ConnectionBusyError, isError, OptionsError, textOf } from '../errors.ts';
import { joinSignals } from '../holder.ts';
import type { Level } from '../level.ts';
import type { Transactions } from '../transaction.ts';
import {
  CommitUnknownError,
  ReadOnlyError,
  TransactionAbortedError,
  TransactionEndedError,
  TransactionManagedError,
} from '../transaction-errors.ts';
import type { PostgresConnection } from './connection.ts';
import { type Operation, type Outcome, QueryOperation, type Stream, StreamOperation, type Terms } from './operation.ts';
import { classify, type SqlTraits } from './sql.ts';
import type { PostgresRequest } from './transaction-options.ts';

/** What a lease has done that could outlast it. */
export interface Notes {
  /** In words. */
  readonly traces: Set<string>;
  /** Whether `DISCARD ALL` would not take it back. */
  lasting: boolean;
}

/** What is told by a connection without being asked. */
export interface ConnectionEvents {
  notification: pg.Notification;
  notice: Error;
}

/**
 * What one lease does with its connection: the guard before each use, its transactions, and the notes from which the clean-up
 * knows whether there is anything to do. A lease that left no notes returns without a word to the server.
 *
 * Invariant: whatever could outlast the lease is noted in the synchronous step in which it is asked for.
 */
export class Session {
  readonly connection: PostgresConnection;
  readonly lease: LeaseControl;
  /** Made by the first transaction that Leasehold manages. */
  managed: Transactions<PostgresRequest> | undefined;
  notes: Notes | undefined;
  /** The first error of the transaction, or of the part of it, that the server refuses to go on with. */
  failure: unknown;
  /** The last COMMIT. Once the server has been asked, nobody can take it back. */
  committing: Operation | undefined;
  /** Texts of the prepared statements by the names that this holder has given them. */
  #names: Map<string, string> | undefined;
  /** How many read each channel. */
  #readers: Map<string, number> | undefined;
  /** Who is to be told of the end of the lease. */
  #ends: Set<(makeError: () => Error) => void> | undefined;
  #listeners: { readonly name: string; readonly listener: unknown; readonly remove: () => void }[] | undefined;

  constructor(connection: PostgresConnection, lease: LeaseControl) {
    this.connection = connection;
    this.lease = lease;
  }

  /** Throws after the end of the lease or the abort of its signal. */
  guard(): void {
    const { lease } = this;
    if (lease.ended) throw lease.endedError();
    if (lease.signal?.aborted) throw new AbortError(lease.signal);
  }

  /** As `guard`, for what counts as use of the connection. Also throws where another branch has a transaction open. */
  use(): void {
    this.guard();
    this.managed?.check();
    this.lease.lastUsedAt = this.connection.clock.now();
  }

  /** Runs a query in one of pg's forms, after what was asked for before. */
  query(
    config: string | pg.QueryConfig,
    values: unknown[] | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    this.use();
    const named = this.#named(config);
    const text: unknown = typeof named === 'string' ? named : named.text;
    if (typeof text !== 'string') throw new OptionsError('text', text, 'a string').withoutValue();
    const traits = classify(text);
    this.lease.lastSql = text;
    this.#note(traits);
    this.#refuseStreaming();
    const limit = typeof named === 'string' ? undefined : (named as { readonly query_timeout?: unknown }).query_timeout;
    const operation = new QueryOperation(named, values, this.#terms(this.#withLimit(signal, limit), traits));
    return this.connection.run(operation);
  }

  /** Runs what has a life of its own: a cursor, a stream. */
  stream(stream: Stream, signal?: AbortSignal): Operation {
    this.use();
    const source: unknown = stream.text ?? stream.cursor?.text;
    const text = typeof source === 'string' ? source : '';
    const traits = classify(text);
    this.lease.lastSql = text;
    this.#note(traits);
    this.#refuseStreaming();
    const operation = new StreamOperation(stream, this.#terms(signal, traits));
    this.connection.run(operation).catch((error: unknown) => {
      // What was never handed to pg has to be told by somebody.
      if (!operation.isSubmitted) stream.handleError?.(error, this.connection.client.connection);
    });
    return operation;
  }

  /** Whether a transaction that Leasehold manages is open. */
  get isManaged(): boolean {
    return this.managed?.current !== undefined;
  }

  get isInTransaction(): boolean {
    return this.isManaged || this.connection.status !== 'I';
  }

  /** Whether something on the connection waits for whoever reads or writes it. */
  get isStreaming(): boolean {
    return this.connection.isStreaming;
  }

  /** Calls `end` with the lease, unless the function that is returned is called before. */
  atEnd(end: (makeError: () => Error) => void): () => void {
    this.#ends ??= new Set();
    this.#ends.add(end);
    return () => void this.#ends?.delete(end);
  }

  /** The lease has ended. What is queued is refused; the server is not told of anything yet. */
  end(): void {
    const makeError = (): Error => this.lease.endedError();
    this.connection.dropQueue(makeError);
    const { active } = this.connection;
    const isCommit = active !== undefined && active === this.committing;
    active?.fail(isCommit ? new CommitUnknownError(this.lease.pool, this.lease.label, makeError()) : makeError());
    for (const end of this.#ends ?? []) end(makeError);
    for (const { remove } of this.#listeners ?? []) remove();
  }

  /** What runs is cancelled, what is queued refused: it belongs to a transaction, or a part of one, that is to be undone. */
  stop(): void {
    const { connection } = this;
    const { active } = connection;
    const level = this.managed?.current;
    const makeError = () => new TransactionEndedError(this.lease.pool, level?.request.label ?? this.lease.label);
    connection.dropQueue(makeError);
    if (active?.isStreaming === true) {
      active.fail(makeError());
      connection.cancel(active, makeError());
    }
    // What has failed is told so by the server at once.
    else if (active !== undefined && connection.status !== 'E') connection.cancel(active, makeError());
  }

  addListener(name: keyof ConnectionEvents, listener: (event: unknown) => void): void {
    this.guard();
    // In the context of whoever listens, not in that of the socket.
    const bound = AsyncLocalStorage.bind(listener);
    const { client } = this.connection;
    this.#listeners ??= [];
    this.#listeners.push({ name, listener, remove: () => void client.off(name, bound) });
    client.on(name, bound);
  }

  removeListener(name: keyof ConnectionEvents, listener: (event: unknown) => void): void {
    const index = this.#listeners?.findLastIndex((each) => each.name === name && each.listener === listener) ?? -1;
    if (index !== -1) this.#listeners?.splice(index, 1)[0]?.remove();
  }

  /** Sends what changes the session on its holder's behalf: to be taken back, and no fault of his. */
  async change(sql: string): Promise<void> {
    this.use();
    this.#refuseStreaming();
    this.notes ??= { traces: new Set(), lasting: false };
    await this.connection.run(new QueryOperation(sql, undefined, this.#terms(undefined, classify(''))));
  }

  /** @param by 1 for one more who reads a channel, -1 for one less. Returns how many there are. */
  countReaders(channel: string, by: 1 | -1): number {
    this.#readers ??= new Map();
    const count = (this.#readers.get(channel) ?? 0) + by;
    this.#readers.set(channel, count);
    return count;
  }

  #terms(signal: AbortSignal | undefined, traits: SqlTraits): Terms {
    const level = this.managed?.current;
    return new StatementTerms(this, joinSignals(signal, level?.signal ?? this.lease.signal), level, traits);
  }

  /** @internal */
  admit(level: Level<PostgresRequest> | undefined): void {
    this.guard();
    this.managed?.checkAgain(level);
  }

  /** @internal The connection is at rest. What is returned is thrown instead of the server's error. */
  settle(outcome: Outcome, level: Level<PostgresRequest> | undefined, { deallocates }: SqlTraits): unknown {
    const { connection, lease } = this;
    if (deallocates) connection.forgetStatements();
    if (lease.ended) return lease.endedError();
    lease.lastUsedAt = connection.clock.now();
    const { status } = connection;
    if (!('error' in outcome)) {
      // Ended by a statement that does not show it.
      if (level !== undefined && status === 'I')
        this.managed?.noteError(new Error('A statement has ended the transaction'));
      return undefined;
    }
    const { error } = outcome;
    const code = codeOf(error);
    const before = this.failure;
    if (status === 'E') this.failure ??= error;
    this.managed?.noteError(error);
    if (code === '25P02' && before !== undefined) {
      return new TransactionAbortedError(lease.pool, level?.request.label ?? lease.label, before);
    }
    if (code === '25006') {
      if (level?.readOnly === true) return new ReadOnlyError(lease.pool, level.request.label ?? lease.label, 'read');
      // The server that was written to only reads by now: another one may have taken its place.
      if (connection.settings.wantsWriter) lease.discard('read-only server');
    }
    return error;
  }

  #note(traits: SqlTraits): void {
    if (traits.plain) return;
    if (traits.transaction) {
      const level = this.managed?.here() ?? this.managed?.current;
      if (level !== undefined) {
        throw new TransactionManagedError(this.lease.pool, level.request.label ?? this.lease.label);
      }
    }
    if (traits.traces.length === 0 && !traits.opaque) return;
    this.notes ??= { traces: new Set(), lasting: false };
    for (const trace of traits.traces) this.notes.traces.add(trace);
    this.notes.lasting ||= traits.lasting;
  }

  /** What pg calls a query timeout, which it does not have the server told of. */
  #withLimit(signal: AbortSignal | undefined, limit: unknown): AbortSignal | undefined {
    return joinSignals(signal, limitOf(Number(limit ?? this.connection.settings.queryTimeout)));
  }

  /** A stream waits for its user, who may be the one that asks: both would wait for ever. */
  #refuseStreaming(): void {
    if (this.isStreaming) throw new ConnectionBusyError(this.lease.pool, this.lease.label, 'a cursor or stream');
  }

  /**
   * Names of prepared statements belong to the holder who gives them. On the connection each text has one name, so that what one
   * has prepared serves the next, and nobody's name stands in another's way.
   */
  #named(config: string | pg.QueryConfig): string | pg.QueryConfig {
    if (typeof config === 'string' || typeof config.name !== 'string' || config.name === '') return config;
    const { name, text } = config;
    this.#names ??= new Map();
    const known = this.#names.get(name);
    if (typeof text !== 'string') {
      if (known === undefined) {
        throw new OptionsError('name', name, 'the name of a statement of this lease', 'Give its "text", too.');
      }
      return { ...config, text: known };
    }
    if (known !== undefined && known !== text) {
      throw new OptionsError('name', name, 'a name that no other text has on this lease');
    }
    this.#names.set(name, text);
    return config;
  }
}

/** One object for each statement, instead of that and a function for each of its methods. */
class StatementTerms implements Terms {
  readonly signal: AbortSignal | undefined;
  readonly #session: Session;
  readonly #level: Level<PostgresRequest> | undefined;
  readonly #traits: SqlTraits;

  constructor(
    session: Session,
    signal: AbortSignal | undefined,
    level: Level<PostgresRequest> | undefined,
    traits: SqlTraits,
  ) {
    this.signal = signal;
    this.#session = session;
    this.#level = level;
    this.#traits = traits;
  }

  admit(): void {
    this.#session.admit(this.#level);
  }

  settle(outcome: Outcome): unknown {
    return this.#session.settle(outcome, this.#level, this.#traits);
  }
}

/** A signal that is aborted after so many milliseconds, if that is ever. */
export function limitOf(timeout: number): AbortSignal | undefined {
  return timeout > 0 && timeout < 2 ** 31 - 1 ? AbortSignal.timeout(Math.ceil(timeout)) : undefined;
}

/** SQLSTATE of an error, `''` where it has none. */
export function codeOf(error: unknown): string {
  return isError(error) ? (textOf(error, 'code') ?? '') : '';
}
