import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Driver, LeaseControl, Residue } from '../driver.ts';
import { isError, OptionsError, textOf } from '../errors.ts';
import { printable } from '../wording.ts';
import type { RawDatabase } from './better-sqlite3.ts';
import { SqliteConnection } from './connection.ts';
import { DatabaseFile, type FileIdentity, identityOf, leftoverBeside } from './database-file.ts';
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
    if (!isPrivate) this.#refuseMixture(file);
    // Nothing waits for a lock while it opens: that would block the event loop. The pool tries again.
    const raw = new Database(file, { readonly, timeout: 0 }) as RawDatabase;
    let found: DatabaseFile | undefined;
    try {
      this.#setUp(raw);
      found = isPrivate ? undefined : fileOf(file, before);
      const lane = found === undefined ? new WriteLane(this.#clock) : laneOf(found.id, this.#clock);
      const connection = new SqliteConnection(raw, this.#settings, found, lane, this.#clock);
      connection.settle();
      this.latest = connection;
      return connection;
    } catch (error) {
      try {
        raw.close();
      } catch (closeError) {
        this.#settings.onCloseError(closeError);
      }
      found?.closed();
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
      if (isError(error) && error instanceof TypeError) return setImmediate().then(() => closeLate(raw, file));
      file?.closed();
      throw error;
    }
    file?.closed();
    return undefined;
  }

  /** A file that was replaced is opened only once nothing of the former is beside it: SQLite would mix the two. */
  #refuseMixture(file: string): void {
    const leftover = leftoverBeside(file, this.latest?.file);
    if (leftover === undefined) return;
    throw new Error(
      `"${printable(leftover)}" belongs to a file that was open by this name before. SQLite would take it for a part of what has the ` +
        'name now, and mix the two, also after a restart. Put the former file back; or end whatever has it open, and take its -wal, ' +
        '-shm and -journal away to where it is: they are a part of it.',
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
    // In a mode that was just set: the write-ahead log is made by the first read.
    if (!isPrivate) raw.pragma('schema_version');
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

function closeLate(raw: RawDatabase, file: DatabaseFile | undefined): void {
  try {
    raw.close();
  } finally {
    file?.closed();
  }
}

/** @throws {MovedError} */
function fileOf(path: string, before: FileIdentity | undefined): DatabaseFile {
  const present = identityOf(path);
  if (present === undefined || (before !== undefined && before.id !== present.id)) throw new MovedError();
  return new DatabaseFile(path, present);
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
