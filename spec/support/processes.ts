import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { SqlitePool, SqlitePoolOptions } from '../../lib/index.ts';
import { temporaryFile } from './files.ts';
import { libraryUrl, temporaryPool } from './sqlite.ts';

/** A process of its own that does one thing after the other, as it is told. */
export interface OtherProcess {
  /** Calls one of its commands. Rejects with what that threw there, with the same `code`. */
  call<Result = void>(command: string, ...args: unknown[]): Promise<Result>;
  /** What it tells unasked, in order. */
  readonly told: unknown[];
  /** Waits until it has told `count` things. */
  hasTold(count: number): Promise<void>;
  /** Ends it as `kill -9` does: it can not clean up anything. */
  kill(): Promise<void>;
}

/** Better-sqlite3's own handle in another process. */
export interface OtherDatabase extends OtherProcess {
  exec(sql: string): Promise<void>;
  /** The first column of the first row. */
  value(sql: string): Promise<unknown>;
}

type Message =
  | { readonly id: number; readonly result?: unknown; readonly error?: { message: string; code?: string } }
  | { readonly told: unknown };

// Commands run one after the other, each when it is asked for; nothing in here waits for a time to pass.
const listening = `
  const tell = (told) => process.send({ told });
  let previous = Promise.resolve();
  process.on('message', ({ id, command, args }) => {
    previous = previous.then(async () => {
      try {
        process.send({ id, result: await commands[command](...args) });
      } catch (error) {
        process.send({ id, error: { message: error.message, code: error.code } });
      }
    });
  });
  process.once('disconnect', () => process.exit());
  process.send({ id: 0 });`;

/** Starts a process whose program defines an object of functions, `commands`. */
export async function startProcess(t: ExecutionContext, program: string, ...args: string[]): Promise<OtherProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${program}\n${listening}`, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  t.teardown(kill);
  return await conversation(child, kill);
}

async function conversation(child: ChildProcess, kill: () => Promise<void>): Promise<OtherProcess> {
  const calls = new Map<number, PromiseWithResolvers<unknown>>();
  const expect = (id: number) => {
    const call = Promise.withResolvers<unknown>();
    calls.set(id, call);
    return call.promise;
  };
  const told: unknown[] = [];
  let heard = Promise.withResolvers<void>();
  child.on('message', (message: Message) => {
    if ('told' in message) {
      told.push(message.told);
      heard.resolve();
      heard = Promise.withResolvers();
      return;
    }
    const call = calls.get(message.id);
    calls.delete(message.id);
    if (message.error === undefined) call?.resolve(message.result);
    else call?.reject(Object.assign(new Error(message.error.message), { code: message.error.code }));
  });
  child.once('exit', (code, signal) => {
    for (const call of calls.values()) call.reject(new Error(`The process ended: ${code ?? signal}`));
  });
  let last = 0;
  const started = expect(0);
  await started;
  return {
    call: <Result>(command: string, ...args: unknown[]) => {
      const id = ++last;
      child.send({ id, command, args });
      return expect(id) as Promise<Result>;
    },
    told,
    async hasTold(count) {
      while (told.length < count) await heard.promise;
    },
    kill,
  };
}

const plainProgram = `
  import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
  const db = new Database(process.argv[1], { timeout: 0 });
  const commands = {
    exec: (sql) => void db.exec(sql),
    value: (sql) => db.prepare(sql).pluck().get(),
    // For one that can tell nothing any more because it waits inside SQLite.
    soon: (sql, delay) => void setTimeout(() => db.exec(sql), delay),
    dieSoon: (delay) => void setTimeout(() => process.kill(process.pid, 'SIGKILL'), delay),
  };`;

/** Another process with a connection to the file, which never waits for a lock. */
export async function otherDatabase(t: ExecutionContext, file: string): Promise<OtherDatabase> {
  const other = await startProcess(t, plainProgram, file);
  return { ...other, exec: (sql) => other.call('exec', sql), value: (sql) => other.call('value', sql) };
}

/** Another process with a pool on the file, and commands that use it: entries of an object. */
export async function otherPool(
  t: ExecutionContext,
  file: string,
  options: SqlitePoolOptions,
  commands: string,
): Promise<OtherProcess> {
  const program = `
    import { createPool } from ${JSON.stringify(libraryUrl)};
    const pool = createPool(process.argv[1], ${JSON.stringify(options)});
    const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
    const commands = { ${commands} };`;
  return startProcess(t, program, file);
}

/**
 * A `Database` class that counts how often a lock kept a statement of its connections from running, so that a test can
 * wait until somebody has met the lock and tried again.
 */
export function countingClass(): { readonly Database: typeof Database; refusals(): number } {
  let refusals = 0;
  class CountingDatabase extends Database {
    override prepare(sql: string): never {
      const statement = super.prepare(sql);
      for (const method of ['run', 'get', 'all'] as const) {
        const native = statement[method];
        statement[method] = (...params: unknown[]): never => {
          try {
            return native.apply(statement, params) as never;
          } catch (error) {
            if ((error as { code?: unknown }).code === 'SQLITE_BUSY') refusals++;
            throw error;
          }
        };
      }
      return statement as never;
    }
  }
  return { Database: CountingDatabase as unknown as typeof Database, refusals: () => refusals };
}

/** Turns of the event loop, each with a timer in it, until `condition` holds. */
export async function turnsUntil(condition: () => boolean): Promise<number> {
  let turns = 0;
  while (!condition()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
    turns++;
  }
  return turns;
}

// Where the event loop were blocked it would be for this long, which no assertion about turns survives.
export const longBusyTimeout = 20_000;

/** A pool, and another process with a connection to the same file, both of which have a table `n` with one row: 1. */
export interface Neighbours {
  readonly pool: SqlitePool;
  readonly other: OtherDatabase;
  readonly file: string;
  /** How often the pool's statements have met a lock. */
  refusals(): number;
}

export async function neighbours(t: ExecutionContext, options: SqlitePoolOptions = {}): Promise<Neighbours> {
  const file = temporaryFile(t);
  const { Database: counting, refusals } = countingClass();
  const pool = temporaryPool(
    t,
    { Database: counting, busyTimeout: longBusyTimeout, acquireTimeout: 50_000, ...options },
    file,
  );
  // The lane's connection and one for readers are open from now on, so that what meets a lock is a statement and not an
  // opening. Both have run synchronous statements, and so are set to wait inside SQLite unless they are told otherwise.
  await pool.withConnection((db) => db.exec('CREATE TABLE n (x INTEGER); INSERT INTO n VALUES (1)'), { write: true });
  await pool.withConnection((db) => db.prepare('SELECT x FROM n').get());
  return { pool, other: await otherDatabase(t, file), file, refusals };
}

/** As `neighbours`, without a WAL: a reader keeps a writer from its COMMIT, and a writer that commits keeps readers out. */
export function journalNeighbours(t: ExecutionContext, options: SqlitePoolOptions = {}): Promise<Neighbours> {
  return neighbours(t, { pragmas: { journal_mode: 'DELETE' }, ...options });
}

/** What a promise has come to so far, and whether that is anything. */
export function watch<Result>(promise: Promise<Result>): { readonly settled: boolean; readonly done: Promise<Result> } {
  const watched = { settled: false, done: promise };
  const settle = () => {
    watched.settled = true;
  };
  promise.then(settle, settle);
  return watched;
}
