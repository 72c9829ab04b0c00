import type { Cancellations } from '../cancellations.ts';
import type { Clock } from '../clock.ts';
import type { LeaseControl, Residue } from '../driver.ts';
import { formatCount } from '../wording.ts';
import type { RawDatabase, RawStatement } from './better-sqlite3.ts';
import type { DatabaseFile } from './database-file.ts';
import type { WriteLane } from './lane.ts';
import { flatRows, safeIntegerRows } from './row-mode.ts';
import { type Notes, Session } from './session.ts';
import { StatementCache } from './statement-cache.ts';
import type { WaitSettings } from './waiting.ts';

// Asked first, because to look at the temporary schema is to open the temporary database for good.
const databasesQuery = "SELECT name FROM pragma_database_list WHERE name <> 'main'";
const temporaryQuery =
  "SELECT type, name, sql FROM temp.sqlite_master WHERE type IN ('table', 'view', 'index', 'trigger')";

/** How far a checkpoint goes, as SQLite defines it: the later ones also wait for readers, and reset the WAL. */
export type CheckpointMode = 'passive' | 'full' | 'restart' | 'truncate';

/** What a checkpoint did. */
export interface CheckpointResult {
  /** Whether readers or a writer kept it from finishing. */
  readonly busy: boolean;
  /** Pages in the WAL, -1 without one. */
  readonly log: number;
  /** Pages of these that are in the database file now, -1 without a WAL. */
  readonly checkpointed: number;
}

/** What all connections of a pool have in common. */
export interface ConnectionSettings extends WaitSettings {
  readonly statementCache: number;
  readonly busyTimeout: number;
  readonly acquireTimeout: number;
  readonly strictWrites: boolean;
  /** Whether it is recorded where things are asked for. */
  readonly capturesStacks: boolean;
  /** Whether nothing can be written. */
  readonly readonly: boolean;
  /** Whether each connection has a database of its own. */
  readonly isPrivate: boolean;
  /** A connection could not be closed that nobody will have. */
  readonly onCloseError: (error: unknown) => void;
  /** Waits that end with the pool. */
  readonly ends: Cancellations;
}

/** One open connection with its prepared statements, and the session of the lease that holds it. */
export class SqliteConnection {
  readonly raw: RawDatabase;
  readonly statements: StatementCache;
  readonly clock: Clock;
  readonly settings: ConnectionSettings;
  /** The write lane of its file. */
  readonly lane: WriteLane;
  /** `undefined` for a private database. */
  readonly file: DatabaseFile | undefined;
  /** Whether it fails at a lock at once instead of blocking the event loop for up to `busyTimeout`. So it is opened. */
  impatient = true;
  /** Whether a holder has set a busy timeout of his own, to be kept until he gives the connection back. */
  #hasOwnPatience = false;
  #patience: number;
  /** Whether writers and readers lock each other out, as in every journal mode but WAL. */
  isRollbackJournal = false;
  /** Statements of Leasehold's own: BEGIN, COMMIT and the like. */
  readonly #verbs = new Map<string, RawStatement>();
  /** At most one at a time: made by `lend`, ended by `reclaim`. */
  #session: Session | undefined;
  /** What was attached and temporary when the connection was new: by its definition, in words. */
  #schema: ReadonlyMap<string, string> = new Map();
  #wipesTemporary = false;

  constructor(
    raw: RawDatabase,
    settings: ConnectionSettings,
    file: DatabaseFile | undefined,
    lane: WriteLane,
    clock: Clock,
  ) {
    this.raw = raw;
    this.settings = settings;
    this.file = file;
    this.lane = lane;
    this.clock = clock;
    this.#patience = settings.busyTimeout;
    this.statements = new StatementCache(raw, settings.statementCache);
  }

  /** The session of the lease that holds it. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** A statement of Leasehold's own, prepared once. */
  verb(sql: string): RawStatement {
    let statement = this.#verbs.get(sql);
    if (statement === undefined) {
      statement = this.raw.prepare(sql);
      this.#verbs.set(sql, statement);
    }
    return statement;
  }

  // By `exec`: a kept PRAGMA statement would do nothing, as this one takes effect when it is prepared.
  beImpatient(): void {
    if (this.impatient) return;
    if (this.#hasOwnPatience) this.#patience = this.#busyTimeout();
    this.raw.exec('PRAGMA busy_timeout = 0');
    this.impatient = true;
  }

  /**
   * Has what is deleted from the temporary database overwritten. Its pages stay with the connection when its tables are
   * dropped, and the next holder could read them by `serialize`.
   */
  wipeTemporary(): void {
    if (this.#wipesTemporary) return;
    this.raw.exec('PRAGMA temp.secure_delete = ON');
    this.#wipesTemporary = true;
  }

  /** A holder is about to set it himself. */
  leavePatience(): void {
    this.#hasOwnPatience = true;
    this.impatient = false;
  }

  bePatient(): void {
    if (!this.impatient) return;
    this.raw.exec(`PRAGMA busy_timeout = ${this.#patience}`);
    this.impatient = false;
  }

  /** Takes what `onOpen` has set up as the state that every lease begins with. */
  settle(): void {
    if (!this.raw.open) throw new Error('onOpen closed the connection');
    // Throws where an iterator was left open, which would make every later use fail.
    this.raw.exec('');
    if (this.raw.inTransaction) throw new Error('onOpen left a transaction open');
    this.#schema = this.#readSchema();
    // Holders delete from what `onOpen` has made, too.
    if (this.#schema.size > 0) this.wipeTemporary();
    // `onOpen` may have set a busy timeout of its own.
    const busyTimeout = this.#busyTimeout();
    if (busyTimeout !== 0) {
      this.#patience = busyTimeout;
      this.impatient = false;
    }
    // The mode, too.
    const isWal = this.raw.pragma('journal_mode', { simple: true }) === 'wal';
    this.isRollbackJournal = !this.settings.isPrivate && !isWal;
    this.file?.settle(isWal);
    // better-sqlite3 tells the default only by what a new statement does.
    const probe = this.raw.prepare('SELECT 1').pluck().get();
    this.statements.defaultMode = typeof probe === 'bigint' ? safeIntegerRows : flatRows;
  }

  lend(lease: LeaseControl): Session {
    const session = new Session(this, lease);
    this.#session = session;
    if (this.isRollbackJournal) this.lane.users.add(session);
    return session;
  }

  /** Ends the session and undoes what it left. `undefined` if that was nothing. */
  reclaim(): Residue | undefined {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return undefined;
    if (session.running > 0 || session.isManaged) session.end();
    const queued = session.managed?.ends.size ?? 0;
    const found = session.notes && this.#cleanUp(session.notes, session.isManaged ? undefined : session.lease);
    const residue = queued === 0 ? found : withTrace(found, formatCount(queued, 'queued transaction'));
    if (session.managed !== undefined || session.permit !== undefined) session.cleaned();
    if (this.isRollbackJournal) this.lane.users.delete(session);
    return residue;
  }

  /** @param owner the lease, unless it is known by its context what belongs to an open transaction */
  #cleanUp(notes: Notes, owner: LeaseControl | undefined): Residue | undefined {
    const traces: string[] = [];
    const errors: unknown[] = [];
    let reusable = !notes.broken;
    // While one is open, SQLite refuses to roll back and does not even admit to a transaction.
    const iterators = [...notes.iterators];
    if (iterators.length > 0)
      traces.push(iterators.length === 1 ? 'open iterator' : `${iterators.length} open iterators`);
    try {
      for (const close of iterators) close();
      if (notes.mayBeInTransaction && this.raw.inTransaction) {
        traces.push('open transaction');
        if (owner !== undefined) owner.transactions = 'lost';
        this.raw.exec('ROLLBACK');
      }
      if (notes.mayHaveChangedSchema) {
        const schema = this.#readSchema();
        const changes = difference(this.#schema, schema);
        if (changes.length > 0) {
          // Reported once, should the connection be kept all the same.
          this.#schema = schema;
          traces.push(...changes);
          reusable = false;
        }
      }
    } catch (error) {
      errors.push(error);
      reusable = false;
    }
    if (notes.settings.size > 0) {
      traces.push(...notes.settings);
      reusable = false;
    }
    if (notes.backups > 0) {
      traces.push('backup under way');
      reusable = false;
    }
    return traces.length === 0 && reusable ? undefined : { traces, reusable, errors };
  }

  /** One attempt at a checkpoint that waits for nobody. */
  checkpoint(mode: CheckpointMode): CheckpointResult {
    this.beImpatient();
    const [row] = this.raw.pragma(`wal_checkpoint(${mode})`) as [
      Record<'busy' | 'log' | 'checkpointed', number | bigint>,
    ];
    // Bigints, where `onOpen` has said so.
    return { busy: Number(row.busy) !== 0, log: Number(row.log), checkpointed: Number(row.checkpointed) };
  }

  #busyTimeout(): number {
    return Number(this.raw.pragma('busy_timeout', { simple: true }));
  }

  #readSchema(): Map<string, string> {
    const schema = new Map<string, string>();
    for (const name of this.raw.prepare(databasesQuery).pluck().all() as string[]) {
      if (name !== 'temp') schema.set(`attached ${name}`, `attached database ${name}`);
      else {
        for (const [type, object, sql] of this.raw.prepare(temporaryQuery).raw().all() as [string, string, unknown][]) {
          schema.set(`${type} ${object} ${String(sql)}`, `temporary ${type} ${object}`);
        }
      }
    }
    return schema;
  }
}

function withTrace(residue: Residue | undefined, trace: string): Residue {
  return residue === undefined
    ? { traces: [trace], reusable: true, errors: [] }
    : { ...residue, traces: [...residue.traces, trace] };
}

/** What one schema has and the other has not, in words. */
function difference(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const changes = [...before, ...after].filter(([key]) => before.has(key) !== after.has(key));
  return [...new Set(changes.map(([, words]) => words))];
}
