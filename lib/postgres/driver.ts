import { Client, type ClientConfig } from 'pg';
import type { Clock } from '../clock.ts';
import type { Driver, LeaseControl, Residue } from '../driver.ts';
import { describeCause, isError, textOf } from '../errors.ts';
import { PatienceError } from '../pool/patience.ts';
import { awaitAnswer } from './answer-deadline.ts';
import { PostgresConnection } from './connection.ts';
import { LeasedClient } from './handle.ts';
import type { Host } from './hosts.ts';
import type { PostgresSettings } from './options.ts';
import type { Session } from './session.ts';

/** PostgreSQL, by pg's client, as the pool sees it. */
export class PostgresDriver implements Driver<PostgresConnection, LeasedClient> {
  readonly #settings: PostgresSettings;
  readonly #clock: Clock;
  readonly target: string;
  readonly limit = Infinity;
  readonly validateAfter: number;
  /** With which of the hosts the next connection begins: the one that answered last. */
  #first = 0;
  /** When it became that. */
  #chosenAt = -Infinity;

  constructor(settings: PostgresSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.target = settings.target;
    this.validateAfter = settings.validateAfter;
  }

  /** Tries the hosts in their order. A server that answers and refuses ends that, as with libpq: the others would, too. */
  async open(onLost: (reason: string) => void, signal: AbortSignal): Promise<PostgresConnection> {
    const { all } = this.#settings.hosts;
    const errors: unknown[] = [];
    const reasons: string[] = [];
    if (this.#clock.now() - this.#chosenAt > preferredFor) this.#first = 0;
    for (let count = 0, index = this.#first; count < all.length; count++, index = (index + 1) % all.length) {
      try {
        const connection = await this.#connect(all[index] as Host, onLost, signal);
        this.#choose(index);
        return connection;
      } catch (error) {
        if (signal.aborted) {
          // It took all the time there was. So the next one begins elsewhere.
          this.#choose((index + 1) % all.length);
          throw error;
        }
        if (!this.isTransient(error) && !isUnknownHost(error)) throw error;
        errors.push(error);
        reasons.push(`${(all[index] as Host).name}: ${describeCause(error)}`);
      }
    }
    throw errors.length === 1 ? errors[0] : new AggregateError(errors, reasons.join('; '));
  }

  isTransient(error: unknown): boolean {
    if (!isError(error)) return false;
    // Another server may answer in time, or this one later.
    if (error instanceof PatienceError) return true;
    if (error instanceof AggregateError) return error.errors.some((each) => this.isTransient(each));
    const code = textOf(error, 'code');
    // pg has no code for what becomes of its socket.
    if (code === undefined) return error instanceof WrongServerError || /terminated|timeout/i.test(error.message);
    return transientCodes.has(code) || /^(?:08|53|57P0)/.test(code);
  }

  validate(connection: PostgresConnection): Promise<void> {
    return connection.validate();
  }

  lend(connection: PostgresConnection, lease: LeaseControl): LeasedClient {
    return new LeasedClient(connection.lend(lease));
  }

  reclaim(connection: PostgresConnection): Residue | undefined | Promise<Residue> {
    const { session } = connection;
    if (session === undefined) return undefined;
    connection.leave();
    session.end();
    if (connection.lost !== undefined) {
      session.managed?.leaseEnded();
      return { traces: [], reusable: false, errors: [] };
    }
    const isClean =
      !connection.isBusy &&
      !connection.isCancelling &&
      connection.status === 'I' &&
      session.notes === undefined &&
      !this.#settings.resetsAlways;
    if (isClean) {
      session.managed?.leaseEnded();
      return undefined;
    }
    return this.#cleanUp(connection, session);
  }

  isInTransaction({ session, status }: PostgresConnection): boolean {
    return session?.isManaged === true || status !== 'I';
  }

  isWorking(connection: PostgresConnection): boolean {
    return connection.isBusy;
  }

  close(connection: PostgresConnection): Promise<void> {
    return connection.close();
  }

  #choose(index: number): void {
    if (this.#first === index) return;
    this.#first = index;
    this.#chosenAt = this.#clock.now();
  }

  async #connect(host: Host, onLost: (reason: string) => void, signal: AbortSignal): Promise<PostgresConnection> {
    const { Client: Class = Client, connectTimeout, hosts, startup } = this.#settings;
    const { options, connectionTimeoutMillis: asked } = host.config;
    // pg takes 0 for any time.
    const limit = asked === undefined ? connectTimeout : asked || Infinity;
    const config: ClientConfig = {
      keepAlive: true,
      ...host.config,
      // Its own would end before the server has said what it is.
      connectionTimeoutMillis: 0,
      // Kept by the session, which has the server end the query as well.
      query_timeout: 0,
      ...(startup !== '' && { options: options === undefined ? startup : `${options} ${startup}` }),
    };
    const client = new Class(config);
    // Without a listener an error that comes beside the promise would end the process.
    let ended: Error | undefined;
    const keep = (error: Error): void => {
      ended ??= error;
    };
    client.on('error', keep);
    const giveUp = () => void client.connection.stream.destroy(new Error('timeout expired'));
    const answered = awaitAnswer(this.#clock, limit, giveUp);
    signal.addEventListener('abort', giveUp);
    try {
      await client.connect();
      // pg takes a password function that rejects with nothing for one that has connected.
      if (client.getTransactionStatus() === null) throw new Error('The server was not reached');
      await checkRole(client, host, hosts.targetSession);
      if (ended !== undefined) throw ended;
      const connection = new PostgresConnection(client, config, this.#settings, this.#clock, onLost);
      client.off('error', keep);
      return connection;
    } catch (error) {
      client.connection.stream.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
      answered();
    }
  }

  async #cleanUp(connection: PostgresConnection, session: Session): Promise<Residue> {
    const traces: string[] = [];
    let reusable = true;
    try {
      const { active } = connection;
      if (active !== undefined && !connection.isTidying) {
        const { isStream, isStreaming } = active;
        if (isStreaming) traces.push('open cursor or stream');
        else if (!isStream) traces.push('query under way');
        // What a query has done by then nobody knows. So nobody else gets the connection.
        if (!isStream) reusable = false;
        connection.cancel(active, session.lease.endedError());
      }
      await connection.rest();
      if (connection.lost !== undefined) return { traces, reusable: false, errors: [] };
      if (connection.status !== 'I') {
        traces.push('open transaction');
        session.lease.transactions = 'lost';
        await connection.undo('ROLLBACK');
      }
      const { notes } = session;
      if (notes !== undefined) traces.push(...notes.traces);
      if (reusable && (notes !== undefined || this.#settings.resetsAlways)) {
        // It would also take away what `onOpen` has set up.
        if (notes?.lasting === true || this.#settings.hasOpenHook) {
          return { traces, reusable: false, errors: [], reason: 'reset' };
        }
        await connection.undo('DISCARD ALL');
        connection.forgetStatements();
      }
      return { traces, reusable: reusable && connection.lost === undefined, errors: [] };
    } catch (error) {
      return { traces, reusable: false, errors: [error] };
    } finally {
      session.managed?.leaseEnded();
    }
  }
}

// For how long another host than the first is begun with, in milliseconds: that one may be well again by then.
const preferredFor = 30_000;

const transientCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  // A socket in the file system is made when the server is up.
  'ENOENT',
]);

function isUnknownHost(error: unknown): boolean {
  return isError(error) && textOf(error, 'code') === 'ENOTFOUND';
}

/** A server that is there, but not of the kind that is wanted. It may become so. */
class WrongServerError extends Error {}

async function checkRole(client: Client, { name }: Host, wanted: 'any' | 'read-write' | 'read-only'): Promise<void> {
  if (wanted === 'any') return;
  const { rows } = await client.query<{ transaction_read_only: string }>('SHOW transaction_read_only');
  const isReader = rows[0]?.transaction_read_only === 'on';
  if (isReader !== (wanted === 'read-only')) {
    throw new WrongServerError(`${name} is ${isReader ? 'read-only' : 'not read-only'}, and ${wanted} is wanted`);
  }
}
