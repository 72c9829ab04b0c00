import { escapeIdentifier, type Notification } from 'pg';
import type { Session } from './session.ts';

/**
 * What comes in on one channel, in the order it was sent, from when it was asked for to the end of the lease. Made by `listen`.
 * It takes up memory until it is read.
 */
export class Inbox implements AsyncIterableIterator<Notification, undefined>, AsyncDisposable {
  readonly channel: string;
  readonly #session: Session;
  readonly #received: Notification[] = [];
  /** Who waits for the next. */
  #reader: PromiseWithResolvers<IteratorResult<Notification, undefined>> | undefined;
  #makeError: (() => Error) | undefined;
  #isClosed = false;
  readonly #withdrawals: (() => void)[] = [];

  constructor(session: Session, channel: string) {
    this.#session = session;
    this.channel = channel;
  }

  /** @internal Rejects where the server refuses. */
  async open(): Promise<void> {
    const { connection } = this.#session;
    const { client } = connection;
    this.#session.guard();
    const receive = (notification: Notification): void => this.#receive(notification);
    const lose = (): void => this.#end(() => connection.lostError());
    client.on('notification', receive);
    client.on('end', lose);
    this.#session.countReaders(this.channel, 1);
    this.#withdrawals.push(
      () => client.off('notification', receive),
      () => client.off('end', lose),
      this.#session.atEnd((makeError) => this.#end(makeError)),
      // Whoever waits for what is sent wants to be told of it.
      connection.hold(),
    );
    try {
      await this.#session.change(`LISTEN ${escapeIdentifier(this.channel)}`);
    } catch (error) {
      this.#session.countReaders(this.channel, -1);
      this.#close();
      throw error;
    }
  }

  /** @throws what a use after the end of the lease throws, ConnectionLostError */
  next(): Promise<IteratorResult<Notification, undefined>> {
    const notification = this.#received.shift();
    if (notification !== undefined) return Promise.resolve({ done: false, value: notification });
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    if (this.#makeError !== undefined) return Promise.reject(this.#makeError());
    if (this.#reader !== undefined) return this.#reader.promise.then(() => this.next());
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** Listens no longer. */
  async return(): Promise<IteratorResult<Notification, undefined>> {
    const isOver = this.#isClosed || this.#makeError !== undefined;
    this.#close();
    // Others on the same lease may listen on it, too.
    if (!isOver && this.#session.countReaders(this.channel, -1) === 0) {
      await this.#session.change(`UNLISTEN ${escapeIdentifier(this.channel)}`);
    }
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #close(): void {
    this.#isClosed = true;
    this.#withdraw();
    this.#reader?.resolve({ done: true, value: undefined });
    this.#reader = undefined;
  }

  #receive(notification: Notification): void {
    if (notification.channel !== this.channel) return;
    if (this.#reader === undefined) {
      this.#received.push(notification);
      return;
    }
    this.#reader.resolve({ done: false, value: notification });
    this.#reader = undefined;
  }

  #end(makeError: () => Error): void {
    this.#makeError ??= makeError;
    this.#withdraw();
    this.#reader?.reject(makeError());
    this.#reader = undefined;
  }

  #withdraw(): void {
    for (const withdraw of this.#withdrawals.splice(0)) withdraw();
  }
}
