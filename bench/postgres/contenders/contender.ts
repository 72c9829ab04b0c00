/** One way to come by a connection to PostgreSQL, ready for the trials. */
export interface Contender {
  readonly name: string;
  /** Opens it on a database, with at most 20 connections. `counter` is the row that its transactions count in. */
  open(url: string, counter: number): Workloads | Promise<Workloads>;
}

export const max = 20;

export const selectOne = 'SELECT 1 AS n';
export const selectGiven = 'SELECT $1::int AS n';
export const count = 'UPDATE counters SET count = count + 1 WHERE id = $1';
export const selectCount = 'SELECT count FROM counters WHERE id = $1';

/**
 * What a trial has a contender do. Each loop is written out in the contender's own idiom and runs from start to end
 * without a call back into the harness. Each checks that every query has brought its row.
 */
export interface Workloads {
  /** Takes a connection and gives it back, one after the other. */
  lease?(times: number): Promise<void>;
  /** Takes a connection, has it answer `selectOne` in the simple protocol, gives it back whatever happens. */
  query(times: number): Promise<void>;
  /** `selectGiven` in one call, not prepared under a name. */
  oneShot(times: number): Promise<void>;
  /** `selectGiven` in one call, prepared under a name and kept. */
  named(times: number): Promise<void>;
  /** A transaction that counts in the contender's row, and reads it. */
  transaction(times: number): Promise<void>;
  /** Three times `selectGiven` on one connection, as functions called by a request do. */
  scope(times: number): Promise<void>;
  /** So many wait at once for a connection that does not come, and are aborted. */
  abortedWaits?(times: number): Promise<void>;
  /** What is lent or waits, by its name. Each has to be 0 after a trial. `undefined` where it does not tell. */
  left?(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

/** Ends a run that would measure something else than it says. */
export function expectRow(rows: readonly { readonly n?: unknown }[], n: number): void {
  if (rows.length !== 1 || rows[0]?.n !== n) throw new Error(`There should be one row, with ${n}: ${inWords(rows)}`);
}

/** The same for a count, whose value is looked at when the trial is over. */
export function expectCount(rows: readonly { readonly count?: unknown }[]): void {
  if (rows.length !== 1) throw new Error(`There should be one count: ${inWords(rows)}`);
}

/** Takes what an aborted wait came to. */
export async function expectAborts(waits: readonly Promise<unknown>[]): Promise<void> {
  for (const wait of await Promise.allSettled(waits)) {
    const error: unknown = wait.status === 'rejected' ? wait.reason : undefined;
    if (!(error instanceof Error && error.name === 'AbortError'))
      throw new Error('A wait was not aborted', { cause: error });
  }
}

function inWords(rows: readonly unknown[]): string {
  return JSON.stringify(rows.slice(0, 2));
}
