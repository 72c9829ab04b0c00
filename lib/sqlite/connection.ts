import type { Clock } from '../clock.ts';
import type { LeaseControl, Residue } from '../driver.ts';
import type { RawDatabase } from './better-sqlite3.ts';
import { flatRows, safeIntegerRows } from './row-mode.ts';
import { type Notes, Session } from './session.ts';
import { StatementCache } from './statement-cache.ts';

// Temporary objects and attached databases, as one text to compare. Reading the temp schema lists "temp".
const schemaQuery = `
  SELECT group_concat(kind || ' ' || name, ', ') FROM (
    SELECT 'attached database' AS kind, name FROM pragma_database_list WHERE name NOT IN ('main', 'temp')
    UNION ALL SELECT 'temporary ' || type, name FROM temp.sqlite_master
  )`;

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

/** One open connection with its prepared statements, and the session of the lease that holds it. */
export class SqliteConnection {
  readonly raw: RawDatabase;
  readonly statements: StatementCache;
  readonly clock: Clock;
  /** At most one at a time: made by `lend`, ended by `reclaim`. */
  #session: Session | undefined;
  /** What `schemaQuery` gave when the connection was new. */
  #schema: unknown = null;

  constructor(raw: RawDatabase, statementCache: number, clock: Clock) {
    this.raw = raw;
    this.clock = clock;
    this.statements = new StatementCache(raw, statementCache);
  }

  /** Takes what `onOpen` has set up as the state that every lease begins with. */
  settle(): void {
    if (!this.raw.open) throw new Error('onOpen closed the connection');
    if (this.raw.inTransaction) throw new Error('onOpen left a transaction open');
    this.#schema = this.#readSchema();
    // better-sqlite3 tells the default only by what a new statement does.
    const probe = this.raw.prepare('SELECT 1').pluck().get();
    this.statements.defaultMode = typeof probe === 'bigint' ? safeIntegerRows : flatRows;
  }

  lend(lease: LeaseControl): Session {
    this.#session = new Session(this, lease);
    return this.#session;
  }

  /** Ends the session and undoes what it left. `undefined` if that was nothing. */
  reclaim(): Residue | undefined {
    const notes = this.#session?.notes;
    this.#session = undefined;
    return notes && this.#cleanUp(notes);
  }

  #cleanUp(notes: Notes): Residue | undefined {
    const traces: string[] = [];
    const errors: unknown[] = [];
    let reusable = true;
    // While one is open, SQLite refuses to roll back and does not even admit to a transaction.
    const iterators = [...notes.iterators];
    if (iterators.length > 0)
      traces.push(iterators.length === 1 ? 'open iterator' : `${iterators.length} open iterators`);
    try {
      for (const close of iterators) close();
      if (notes.mayBeInTransaction && this.raw.inTransaction) {
        traces.push('open transaction');
        this.raw.exec('ROLLBACK');
      }
      if (notes.mayHaveChangedSchema) {
        const schema = this.#readSchema();
        if (schema !== this.#schema) {
          traces.push(typeof schema === 'string' ? schema : 'missing temporary objects');
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
  checkpoint(mode: CheckpointMode, busyTimeout: number): CheckpointResult {
    this.raw.pragma('busy_timeout = 0');
    try {
      const [row] = this.raw.pragma(`wal_checkpoint(${mode})`) as [{ busy: number; log: number; checkpointed: number }];
      return { busy: row.busy !== 0, log: row.log, checkpointed: row.checkpointed };
    } finally {
      this.raw.pragma(`busy_timeout = ${busyTimeout}`);
    }
  }

  #readSchema(): unknown {
    return this.raw.prepare(schemaQuery).pluck().get();
  }
}
