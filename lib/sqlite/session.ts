import type { Clock } from '../clock.ts';
import type { LeaseControl } from '../driver.ts';
import { AbortError } from '../errors.ts';
import type { SqliteConnection } from './connection.ts';
import { plainTraits, type SqlTraits } from './sql.ts';

/**
 * What one lease does with its connection: the guard before each use, and the notes from which the clean-up
 * knows what to look for. A lease that left no note returns without one call into SQLite.
 *
 * Invariant: whatever could outlast the lease is noted in the synchronous step in which it is done.
 */
export class Session {
  readonly lease: LeaseControl;
  readonly connection: SqliteConnection;
  readonly #clock: Clock;
  /** Whether anything below is set. */
  touched = false;
  mayBeInTransaction = false;
  mayHaveChangedSchema = false;
  /** What was changed that can not be changed back, in words. */
  settings: Set<string> | undefined;
  /** Iterators neither exhausted nor returned, by how to return them. */
  iterators: Set<() => void> | undefined;
  /** Backups under way. */
  backups = 0;

  constructor(connection: SqliteConnection, lease: LeaseControl, clock: Clock) {
    this.connection = connection;
    this.lease = lease;
    this.#clock = clock;
  }

  /** The connection, good until the next `await`. Throws after the end of the lease or the abort of its signal. */
  use(): SqliteConnection {
    const { lease } = this;
    if (lease.ended) throw lease.endedError();
    if (lease.signal?.aborted) throw new AbortError(lease.signal);
    lease.lastUsedAt = this.#clock.now();
    return this.connection;
  }

  /** SQL is about to be prepared or run. */
  noteSql(traits: SqlTraits): void {
    if (traits === plainTraits) return;
    if (traits.transaction) this.noteTransaction();
    if (traits.schema) {
      this.touched = true;
      this.mayHaveChangedSchema = true;
    }
    for (const setting of traits.settings) this.noteSetting(setting);
  }

  noteTransaction(): void {
    this.touched = true;
    this.mayBeInTransaction = true;
  }

  noteSetting(setting: string): void {
    this.touched = true;
    this.settings ??= new Set();
    this.settings.add(setting);
  }

  noteIterator(close: () => void): void {
    this.touched = true;
    this.iterators ??= new Set();
    this.iterators.add(close);
  }

  /** Counts a backup until it settles. */
  async noteBackup<Result>(backup: Promise<Result>): Promise<Result> {
    this.touched = true;
    this.backups++;
    try {
      return await backup;
    } finally {
      this.backups--;
    }
  }
}
