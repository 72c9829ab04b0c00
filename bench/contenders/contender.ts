import type Database from 'better-sqlite3';

/** One way to come by a connection, ready for the trials. */
export interface Contender {
  readonly name: string;
  /** Opens it on a file, with at most 8 connections. */
  open(file: string): Workloads;
}

export const max = 8;

/**
 * What a trial has a contender do. Each loop is written out in the contender's own idiom and runs from start to
 * end without a call back into the harness, so nothing but the contender is inside the measured time.
 */
export interface Workloads {
  /** Acquires and releases, one after the other. */
  lease(times: number): Promise<void>;
  /** The same, holding the connection across one `await`, so that many of these loops wait for each other. */
  contended(times: number): Promise<void>;
  /** Runs an empty async function with a connection that comes back whatever happens. */
  scoped(times: number): Promise<void>;
  /** In the same way selects a row by key, as a request would: with the SQL, not with a statement it has kept. */
  select(times: number): Promise<void>;
  /** As `lease`, while it is recorded where each connection is acquired and released. Only Leasehold does that. */
  watched?(times: number): Promise<void>;
  close(): Promise<void>;
  /** For the trials that fill the queue. The bare driver has none. */
  readonly queue: Queue | undefined;
}

interface Queue {
  acquire(): Promise<Database.Database>;
  release(db: Database.Database): void;
}

/** What `contended` awaits while it holds: as long as the microtasks that are queued by then. */
export const oneTurn: Promise<void> = Promise.resolve();

/** What `scoped` runs. */
export async function nothing(_db: Database.Database): Promise<void> {}

/** Ends a run that would measure something else than it says. */
export function expectRow(row: unknown): void {
  if (row === undefined) throw new Error('A row is missing');
}
