import type { LeaseControl } from '../driver.ts';
import { AbortError } from '../errors.ts';
import type { SqliteConnection } from './connection.ts';
import { plainTraits, type SqlTraits } from './sql.ts';

/** What a lease has done that could outlast it. */
export interface Notes {
  mayBeInTransaction: boolean;
  mayHaveChangedSchema: boolean;
  /** What was changed that can not be changed back, in words. */
  readonly settings: Set<string>;
  /** How to return each iterator that is neither exhausted nor returned. */
  readonly iterators: Set<() => void>;
  /** Backups under way. */
  backups: number;
  /** Whether nobody else may have the connection, for a reason that is not the next holder's to see. */
  broken: boolean;
}

/**
 * What one lease does with its connection: the guard before each use, and the notes from which the clean-up
 * knows what to look for. A lease that left no notes returns without one call into SQLite.
 *
 * Invariant: whatever could outlast the lease is noted in the synchronous step in which it is done.
 */
export class Session {
  readonly connection: SqliteConnection;
  readonly lease: LeaseControl;
  notes: Notes | undefined;
  /** Synchronous transaction functions that have not returned. */
  running = 0;

  constructor(connection: SqliteConnection, lease: LeaseControl) {
    this.connection = connection;
    this.lease = lease;
  }

  /** Throws after the end of the lease or the abort of its signal; else the connection is good until the next `await`. */
  guard(): SqliteConnection {
    const { lease } = this;
    if (lease.ended) throw lease.endedError();
    if (lease.signal?.aborted) throw new AbortError(lease.signal);
    return this.connection;
  }

  /** As `guard`, for what counts as use of the connection. */
  use(): SqliteConnection {
    const connection = this.guard();
    this.lease.lastUsedAt = connection.clock.now();
    return connection;
  }

  /** SQL is about to be prepared or run. */
  noteSql(traits: SqlTraits): void {
    if (traits === plainTraits) return;
    if (traits.transaction) this.noteTransaction();
    if (traits.schema) this.#noted().mayHaveChangedSchema = true;
    for (const setting of traits.settings) this.noteSetting(setting);
  }

  noteTransaction(): void {
    this.#noted().mayBeInTransaction = true;
  }

  noteSetting(setting: string): void {
    this.#noted().settings.add(setting);
  }

  noteBroken(): void {
    this.#noted().broken = true;
  }

  noteIterator(close: () => void): void {
    this.#noted().iterators.add(close);
  }

  /** Counts a backup until it settles. */
  async noteBackup<Result>(backup: Promise<Result>): Promise<Result> {
    const notes = this.#noted();
    notes.backups++;
    try {
      return await backup;
    } finally {
      notes.backups--;
    }
  }

  #noted(): Notes {
    this.notes ??= {
      mayBeInTransaction: false,
      mayHaveChangedSchema: false,
      settings: new Set(),
      iterators: new Set(),
      backups: 0,
      broken: false,
    };
    return this.notes;
  }
}
