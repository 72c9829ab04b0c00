import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Driver, LeaseControl, Residue } from '../driver.ts';
import { isError, OptionsError, textOf } from '../errors.ts';
import type { RawDatabase } from './better-sqlite3.ts';
import { SqliteConnection } from './connection.ts';
import { DatabaseFile, identityOf } from './database-file.ts';
import { LeasedDatabase } from './handle.ts';
import { laneOf, WriteLane } from './lane.ts';
import type { PragmaValue, SqliteSettings } from './options.ts';

/** SQLite, by better-sqlite3, as the pool sees it. */
export class SqliteDriver implements Driver<SqliteConnection, LeasedDatabase> {
  readonly #settings: SqliteSettings;
  readonly #clock: Clock;
  readonly target: string;
  readonly limit: number;
  readonly hasReserve: boolean;
  /** The connection that was opened last: its lane is that of the file as it is now. */
  latest: SqliteConnection | undefined;
  /** How many connections are open to each file, by its identity: there are several once it has been replaced. */
  readonly #open = new Map<string, number>();
  /** Whether the pragma names have been checked; they are the same for every connection. */
  #checkedPragmas = false;

  constructor(settings: SqliteSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.target = settings.file;
    this.limit = settings.isPrivate ? 1 : Infinity;
    this.hasReserve = !settings.isPrivate && !settings.readonly;
  }

  open(): SqliteConnection {
    const { file, isPrivate, readonly, Database } = this.#settings;
    // SQLite would open a file it may not write without a word, and fail at the first write.
    if (!readonly && !isPrivate) checkWritable(file);
    const before = isPrivate ? undefined : identityOf(file);
    if (!isPrivate) this.#refuseMixture(before);
    // Nothing waits for a lock while it opens: that would block the event loop. The pool tries again.
    const raw = new Database(file, { readonly, timeout: 0 }) as RawDatabase;
    try {
      this.#setUp(raw);
      const found = isPrivate ? undefined : new DatabaseFile(file);
      if (before !== undefined && found?.id !== before) throw new MovedError();
      const lane = found === undefined ? new WriteLane(this.#clock) : laneOf(found.id, this.#clock);
      const connection = new SqliteConnection(raw, this.#settings, found, lane, this.#clock);
      connection.settle();
      if (found !== undefined) this.#open.set(found.id, (this.#open.get(found.id) ?? 0) + 1);
      this.latest = connection;
      return connection;
    } catch (error) {
      try {
        raw.close();
      } catch (closeError) {
        this.#settings.onCloseError(closeError);
      }
      throw error;
    }
  }

  isTransient(error: unknown): boolean {
    if (!isError(error)) return false;
    return error instanceof MovedError || /^SQLITE_(?:BUSY|LOCKED)/.test(textOf(error, 'code') ?? '');
  }

  outdated({ file }: SqliteConnection): string | undefined {
    return file?.replaced();
  }

  lend(connection: SqliteConnection, lease: LeaseControl): LeasedDatabase {
    return new LeasedDatabase(connection.lend(lease));
  }

  reclaim(connection: SqliteConnection): Residue | undefined {
    const residue = connection.reclaim();
    // Its connection is all there is of a private database: better a trace, which is reported, than to lose it.
    return residue === undefined || !this.#settings.isPrivate
      ? residue
      : { ...residue, reusable: residue.errors.length === 0 };
  }

  isInTransaction(connection: SqliteConnection): boolean {
    return connection.session?.isInTransaction() ?? false;
  }

  isWorking(connection: SqliteConnection): boolean {
    return (connection.session?.notes?.backups ?? 0) > 0;
  }

  isBlocked({ scope, pool, poolId, isBound }: LeaseControl): boolean {
    // One that code took for itself may come back by another branch of that scope.
    if (!isBound) return false;
    const lane = this.latest?.lane;
    if (scope === undefined || lane?.waitingScopes?.has(scope) !== true) return false;
    return lane.holder?.waits?.(pool, poolId) === true;
  }

  pinnedBytes(connection: SqliteConnection): number | undefined {
    if (!this.isInTransaction(connection) || connection.isRollbackJournal) return undefined;
    try {
      // SQLite keeps it beside the file itself, where the path is that of a link.
      const { size } = statSync(`${realpathSync(this.#settings.file)}-wal`);
      return size === 0 ? undefined : size;
    } catch {
      // A private database has none, and a file may have been taken away.
      return undefined;
    }
  }

  close({ raw, file }: SqliteConnection): void | Promise<void> {
    try {
      raw.close();
    } catch (error) {
      // From within a statement of its own, it can be closed only when that has returned.
      if (!isError(error) || !(error instanceof TypeError)) throw error;
      return setImmediate().then(() => void raw.close());
    } finally {
      if (file !== undefined) this.#forget(file.id);
    }
  }

  #forget(id: string): void {
    const left = (this.#open.get(id) ?? 0) - 1;
    if (left > 0) this.#open.set(id, left);
    else this.#open.delete(id);
  }

  /** A file that was replaced is opened only once nothing of the former is beside it: SQLite would mix the two. */
  #refuseMixture(present: string | undefined): void {
    const former = this.latest?.file;
    if (former === undefined || former.id === present) return;
    const leftover = former.leftBehind(this.#open.has(former.id));
    if (leftover === undefined) return;
    const what = present === undefined ? 'The file is gone' : 'Another file has taken its place';
    throw new Error(
      `${what}, but "${leftover}" is still there, which belongs to the former: SQLite would mix the two. Put the former ` +
        `file back, or end whatever has it open and remove what is left of it: its -wal, -shm and -journal.`,
    );
  }

  #setUp(raw: RawDatabase): void {
    const { isPrivate, readonly, pragmas } = this.#settings;
    // better-sqlite3 opens lazily: only this reads the file, and finds out that it is none of SQLite's.
    raw.pragma('schema_version');
    if (!this.#checkedPragmas) this.#checkPragmas(raw);
    for (const [name, value] of pragmas) {
      if (name !== 'journal_mode') raw.pragma(`${name} = ${literal(value)}`);
      else if (!readonly && !isPrivate) setJournalMode(raw, value);
    }
  }

  #checkPragmas(raw: RawDatabase): void {
    const known = new Set(raw.prepare('SELECT name FROM pragma_pragma_list').pluck().all());
    for (const [name, value] of this.#settings.pragmas) {
      if (!known.has(name)) {
        throw new OptionsError(
          `pragmas.${name}`,
          value,
          'a pragma that this build of SQLite has',
          'SQLite would ignore it without a word.',
        );
      }
    }
    this.#checkedPragmas = true;
  }
}

/** It is not known which file was opened. */
class MovedError extends Error {
  constructor() {
    super('The file was replaced while it was being opened');
  }
}

/** Setting the mode takes an exclusive lock, so it is done only where the file is not in it already. */
function setJournalMode(raw: RawDatabase, value: Exclude<PragmaValue, null>): void {
  const wanted = String(value).toLowerCase();
  if (raw.pragma('journal_mode', { simple: true }) === wanted) return;
  const mode = raw.pragma(`journal_mode = ${literal(value)}`, { simple: true });
  if (mode !== wanted) throw new Error(`journal_mode stays "${String(mode)}" where "${wanted}" was asked for`);
}

function literal(value: Exclude<PragmaValue, null>): string {
  if (typeof value !== 'string') return value === true ? '1' : value === false ? '0' : String(value);
  return `'${value.replaceAll("'", "''")}'`;
}

/** @throws what the file system says: EACCES, EROFS */
function checkWritable(file: string): void {
  try {
    accessSync(file, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  // The journal and the WAL are made beside it.
  accessSync(dirname(file), constants.W_OK);
}
