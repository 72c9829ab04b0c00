import { channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import type { HolderInfo } from './holder.ts';

/** What all messages on the channels of Leasehold begin with. */
export interface PoolMessage {
  /** Name of the pool. */
  readonly pool: string;
  /** Number of the pool, unique in the process. */
  readonly poolId: number;
}

/**
 * Message of `tracing:leasehold:acquire:*`: one way to a lease. The same object goes through all steps, and each adds
 * what it knows. Durations are milliseconds.
 */
export interface AcquireMessage extends PoolMessage {
  readonly label: string | undefined;
  /** Number of the scope it is asked in. */
  readonly scope: number | undefined;
  /** From the call to the lease; 0 where a connection was idle. */
  waited?: number;
  /** Number of the lease. */
  lease?: number;
  /** Number of its connection. */
  connection?: number;
  /** Why there is no lease. */
  error?: unknown;
}

/**
 * Message of `tracing:leasehold:transaction:*`: one transaction or savepoint, from its call until it is committed or
 * rolled back. What its function returns is not in it.
 */
export interface TransactionMessage extends PoolMessage {
  readonly label: string | undefined;
  /** How it begins, in the terms of the database: of SQLite `immediate`, `deferred`, `exclusive`, or `read` for a snapshot. */
  readonly mode: string;
  /** Number of the scope it is asked in. */
  readonly scope: number | undefined;
  /** From the call to the first line of its function. */
  waited?: number;
  /** How often its function has been called: more than once with `retries`. */
  attempts: number;
  /** Number of the lease it runs on. */
  lease?: number;
  /** Number of the connection it runs on. */
  connection?: number;
  /** Why it was not committed. */
  error?: unknown;
}

/** Runs around what is traced, for who keeps an async context of his own. Calls `run` once, and passes its outcome through. */
export type Surround<Message> = (message: Message, run: () => Promise<void>) => Promise<void>;

/** A tracing channel, and what runs around that which it traces. */
export class Tracing<Message extends PoolMessage & { error?: unknown }> {
  readonly #channel: TracingChannel<unknown, Message>;
  readonly #surrounds = new Set<Surround<Message>>();

  constructor(name: string) {
    this.#channel = tracingChannel(name);
  }

  /** Whether anybody wants to know; ask before making a message. */
  get isActive(): boolean {
    return this.#channel.hasSubscribers || this.#surrounds.size > 0;
  }

  /**
   * Has `surround` run around everything from now on. What is returned ends that. A store bound to the channel would not do:
   * from Node.js 26 on, that takes an AsyncLocalStorage itself, which others keep to themselves.
   */
  surround(surround: Surround<Message>): () => void {
    this.#surrounds.add(surround);
    return () => {
      this.#surrounds.delete(surround);
    };
  }

  /**
   * Runs what the message is about. The outcome passes through, whatever happens around it; the message has the error, and
   * never the result, which is the user's.
   */
  async trace<Result>(message: Message, run: () => Promise<Result>): Promise<Result> {
    let running: Promise<Result> | undefined;
    const begin = (): Promise<Result> => {
      running ??= (async () => run())();
      return running;
    };
    let step = async (): Promise<void> => {
      try {
        await begin();
      } catch (error) {
        message.error = error;
        throw error;
      }
    };
    for (const surround of this.#surrounds) {
      const inner = step;
      step = () => surround(message, inner);
    }
    try {
      await this.#channel.tracePromise(step, message);
    } catch {
      // Either it has failed itself, and says so below, or something around it has, which is no fault of the caller's.
    }
    return begin();
  }
}

export const acquires = new Tracing<AcquireMessage>('leasehold:acquire');
export const transactions = new Tracing<TransactionMessage>('leasehold:transaction');

/** The function of a transaction is about to be called. */
export function noteAttempt(message: TransactionMessage, { id, connection }: HolderInfo, waited: number): void {
  message.attempts++;
  message.waited ??= waited;
  message.lease = id;
  message.connection = connection;
}

/** Events that are published for the whole process as well. */
export const eventChannels = {
  open: channel('leasehold:connection:open'),
  close: channel('leasehold:connection:close'),
  discard: channel('leasehold:connection:discard'),
  leak: channel('leasehold:lease:leak'),
} as const;
