import type pg from 'pg';
import type { Clock } from '../clock.ts';
import type { LeaseControl } from '../driver.ts';
import { ClosedError, ConnectionLostError } from '../errors.ts';
import { awaitAnswer } from './answer-deadline.ts';
import { requestCancel } from './cancel-request.ts';
import { type Operation, type OperationHost, QueryOperation, type Terms } from './operation.ts';
import { Session } from './session.ts';

// What a connection has to answer in that nobody waits for: at its end, and when it is asked whether it is still there.
const grace = 1000;
// Before a cancel request is sent once more, doubled for each further time.
const firstPause = 50;

/** What all connections of a pool have in common. */
export interface ConnectionSettings {
  /** Name of the pool. */
  readonly pool: string;
  /** Where they lead, without secrets. */
  readonly target: string;
  /** Whether a server that only reads is of no use. */
  readonly wantsWriter: boolean;
  readonly cancelTimeout: number;
  readonly statementCache: number;
  /** How long a query may take in all, in ms; 0 for any time. */
  readonly queryTimeout: number;
}

/**
 * One client of pg with what is queued on it, and the session of the lease that holds it.
 *
 * Invariant between any two `await`s: at most one operation is with the server; pg's own queue is always empty.
 */
export class PostgresConnection implements OperationHost {
  readonly client: pg.Client;
  readonly settings: ConnectionSettings;
  readonly clock: Clock;
  readonly #config: pg.ClientConfig;
  readonly #onLost: (reason: string) => void;
  readonly #queue: Operation[] = [];
  #active: Operation | undefined;
  /** While a cancel request is on its way, which would hit whatever comes next. */
  #cancelling: Promise<void> | undefined;
  /** Ends the cancel request that was sent last. */
  #abandon: (() => void) | undefined;
  #lost: Error | undefined;
  /** By their texts, the names of the statements prepared here, the least recently used first. */
  readonly #statements = new Map<string, string>();
  #lastStatement = 0;
  /** Names of statements that the server has still, and nobody uses. */
  #obsolete: string[] = [];
  /** Has the server forget those. */
  #tidying: Operation | undefined;
  #session: Session | undefined;
  /** How many want the process to go on for what may come from the server. */
  #holds = 0;
  #rest: PromiseWithResolvers<void> | undefined;
  /** Requests that the server answers by being ready for the next, and those answers. */
  #asked = 0;
  #answered = 0;
  /** Set while what was refused is not over: to be called when it is. */
  #rests: (() => void) | undefined;

  constructor(
    client: pg.Client,
    config: pg.ClientConfig,
    settings: ConnectionSettings,
    clock: Clock,
    onLost: (reason: string) => void,
  ) {
    this.client = client;
    this.#config = config;
    this.settings = settings;
    this.clock = clock;
    this.#onLost = onLost;
    // Each inbox of a lease has its own.
    client.setMaxListeners(0);
    this.#countAnswers();
    client.on('drain', () => this.#rested());
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('The server has ended it')));
    socketOf(client).unref();
  }

  /** The session of the lease that holds it. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Why it is of no use any more. */
  get lost(): Error | undefined {
    return this.#lost;
  }

  /** What runs on it now. */
  get active(): Operation | undefined {
    return this.#active;
  }

  get isBusy(): boolean {
    return this.#active !== undefined || this.#queue.length > 0;
  }

  /** Whether a cancel request is on its way, which would hit whatever comes next. */
  get isCancelling(): boolean {
    return this.#cancelling !== undefined;
  }

  /** Whether what runs now is nobody's. */
  get isTidying(): boolean {
    return this.#active !== undefined && this.#active === this.#tidying;
  }

  /** Whether something runs, or is about to, that waits for whoever reads or writes it. */
  get isStreaming(): boolean {
    return this.#active?.isStreaming === true || this.#queue.some(({ isStreaming }) => isStreaming);
  }

  /** As of the last time that the connection was at rest: idle, in a transaction, in one that has failed. */
  get status(): ReturnType<pg.Client['getTransactionStatus']> {
    return this.client.getTransactionStatus();
  }

  lend(lease: LeaseControl): Session {
    this.#session = new Session(this, lease);
    return this.#session;
  }

  /** The lease has ended. */
  leave(): void {
    this.#session = undefined;
  }

  /** Refuses to go on with what `onOpen` has left, as soon as what it has asked for is over. */
  settle(): void | Promise<void> {
    const { readyForQuery } = this.client as unknown as { readonly readyForQuery?: boolean };
    if (readyForQuery === true) return this.#refuseOpen();
    return this.client.query('').then(() => this.#refuseOpen());
  }

  #refuseOpen(): void {
    if (this.status !== 'I') throw new Error('onOpen left a transaction open');
  }

  /** Runs it as soon as what was asked for before is over. */
  run(operation: Operation): Promise<unknown> {
    if (this.#lost !== undefined) operation.fail(this.lostError());
    else if (this.#active !== undefined || this.#cancelling !== undefined) this.#queue.push(operation);
    else if (this.#obsolete.length > 0) {
      this.#queue.push(operation);
      this.#next();
    } else this.#start(operation, false);
    return operation.promise;
  }

  /** Runs a statement of Leasehold's own. */
  command(sql: string, terms: Terms = noTerms): Promise<unknown> {
    return this.run(new QueryOperation(sql, undefined, terms));
  }

  /** Runs a statement that nobody asked for. Where the server does not answer it has lost the connection, and with it all there was. */
  async undo(sql: string): Promise<void> {
    const answered = awaitAnswer(this.clock, this.settings.cancelTimeout, () => this.destroy());
    try {
      await this.command(sql);
    } finally {
      answered();
    }
  }

  /** Refuses what is queued. Each is told with an error made for it. */
  dropQueue(makeError: () => unknown): void {
    if (this.#queue.length === 0) return;
    for (const operation of this.#queue.splice(0)) operation.fail(makeError());
  }

  /** Resolves when what runs now is over, at the latest when the connection is lost. */
  async rest(): Promise<void> {
    await this.#endOfActive();
    await this.#cancelling;
  }

  /** Has the server end what runs now. Where it does not, or can not be asked, the connection is given up. */
  cancel(operation: Operation, error: unknown): void {
    if (this.#active !== operation || this.#cancelling !== undefined) return;
    const answered = awaitAnswer(this.clock, this.settings.cancelTimeout, () => this.destroy());
    this.#cancelling = this.#cancelUntilEnded(operation, error).then(() => {
      answered();
      this.#cancelling = undefined;
      this.#next();
    });
  }

  /** One that comes before the server has begun is lost, so it is sent again. One that comes late would end what runs next. */
  async #cancelUntilEnded(operation: Operation, error: unknown): Promise<void> {
    for (let pause = firstPause; this.#active === operation; pause *= 2) {
      // The server does not look at a request while it waits for the next fetch.
      if (!operation.endStream(error)) {
        const request = requestCancel(this.client, this.#config);
        this.#abandon = request.abandon;
        await request.done;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.clock.after(pause, resolve);
      await Promise.race([promise, this.#endOfActive()]);
      this.clock.cancel(timer);
    }
  }

  /** Ends it at once, without a word to the server. */
  destroy(): void {
    this.#abandon?.();
    this.client.connection.stream.destroy();
    this.#lose(new Error('It was given up'));
  }

  statementName(text: string): string {
    let name = this.#statements.get(text);
    if (name !== undefined) this.#statements.delete(text);
    else {
      name = `leasehold_${++this.#lastStatement}`;
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined && this.#statements.size >= this.settings.statementCache) {
        this.forgetStatement(oldest);
      }
    }
    this.#statements.set(text, name);
    return name;
  }

  forgetStatement(text: string): void {
    const name = this.#statements.get(text);
    if (name === undefined) return;
    const parsed = parsedOf(this.client);
    // What was refused has never been there.
    if (name in parsed) this.#obsolete.push(name);
    delete parsed[name];
    this.#statements.delete(text);
  }

  forgetLost(text: string, isGone: boolean): void {
    const name = this.#statements.get(text);
    const parsed = parsedOf(this.client);
    if (name === undefined || (!isGone && name in parsed)) return;
    delete parsed[name];
    this.#statements.delete(text);
  }

  failed(operation: Operation): void {
    if (this.#active !== operation) return;
    // The server may wait for a word that pg does not send after some refusals.
    this.#rests ??= awaitAnswer(this.clock, this.settings.cancelTimeout, () => this.destroy());
  }

  /** They are gone on the server. */
  forgetStatements(): void {
    const parsed = parsedOf(this.client);
    for (const name of this.#statements.values()) delete parsed[name];
    this.#statements.clear();
    this.#obsolete = [];
  }

  /** Keeps the process alive until the function that is returned is called. */
  hold(): () => void {
    if (this.#holds++ === 0) socketOf(this.client).ref();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (--this.#holds === 0) socketOf(this.client).unref();
    };
  }

  /** Whether the server still answers. */
  async validate(): Promise<void> {
    const answered = awaitAnswer(this.clock, grace, () => this.destroy());
    try {
      await this.command('');
    } finally {
      answered();
    }
  }

  async close(): Promise<void> {
    this.dropQueue(() => new ClosedError(this.settings.pool));
    if (this.#lost !== undefined) {
      this.client.connection.stream.destroy();
      return;
    }
    const answered = awaitAnswer(this.clock, grace, () => this.client.connection.stream.destroy());
    socketOf(this.client).ref();
    try {
      await this.client.end();
    } finally {
      answered();
    }
  }

  #start(operation: Operation, hasWaited: boolean): boolean {
    this.#active = operation;
    if (this.#holds++ === 0) socketOf(this.client).ref();
    const isStarted = operation.start(this, hasWaited);
    if (!isStarted) this.#ended();
    return isStarted;
  }

  #endOfActive(): Promise<void> | undefined {
    if (this.#active === undefined) return undefined;
    this.#rest ??= Promise.withResolvers<void>();
    return this.#rest.promise;
  }

  #ended(): void {
    this.#active = undefined;
    this.#rests?.();
    this.#rests = undefined;
    if (--this.#holds === 0) socketOf(this.client).unref();
    this.#rest?.resolve();
    this.#rest = undefined;
  }

  /** pg has nothing to do any more. */
  #rested(): void {
    const operation = this.#active;
    if (operation === undefined) return;
    this.#ended();
    operation.finish();
    // An answer that is still to come would be taken for that of what is asked next, and so on for ever.
    if (this.#asked === this.#answered) this.#next();
    else this.destroy();
  }

  /** Whoever writes to the socket, what has an answer goes by these two: of pg's query, of cursors and of streams. */
  #countAnswers(): void {
    const { connection } = this.client;
    const sync = connection.sync.bind(connection);
    const query = connection.query.bind(connection);
    connection.sync = () => {
      this.#asked++;
      sync();
    };
    connection.query = (text) => {
      this.#asked++;
      query(text);
    };
    // Before pg hears of it, and says that it has nothing to do.
    connection.prependListener('readyForQuery', () => {
      this.#answered++;
    });
  }

  #next(): void {
    while (this.#active === undefined && this.#cancelling === undefined && this.#lost === undefined) {
      const next = this.#queue.length === 0 ? undefined : (this.#tidy() ?? this.#queue.shift());
      if (next === undefined) return;
      this.#start(next, true);
    }
  }

  /** What has the server forget statements, before something else is to run. Not in a transaction, which its failure would cost. */
  #tidy(): Operation | undefined {
    if (this.#obsolete.length === 0 || this.status !== 'I') return undefined;
    const names = this.#obsolete;
    this.#obsolete = [];
    this.#tidying = new QueryOperation(names.map((name) => `DEALLOCATE ${name}`).join('; '), undefined, noTerms);
    this.#tidying.promise.catch(() => {});
    return this.#tidying;
  }

  #lose(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    const operation = this.#active;
    if (operation !== undefined) {
      this.#ended();
      operation.lose(this.lostError());
    }
    this.dropQueue(() => this.lostError());
    this.#onLost('connection lost');
  }

  lostError(): ConnectionLostError {
    return new ConnectionLostError(this.settings.pool, this.settings.target, this.#lost);
  }
}

const noTerms: Terms = { signal: undefined };

/** What pg takes for prepared on a connection. */
function parsedOf(client: pg.Client): Record<string, unknown> {
  return (client.connection as unknown as { parsedStatements: Record<string, unknown> }).parsedStatements;
}

/** As pg's own client has it, and its published types have not. */
function socketOf(client: pg.Client): { ref(): void; unref(): void } {
  return client as unknown as { ref(): void; unref(): void };
}
