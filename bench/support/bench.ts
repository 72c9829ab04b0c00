import type { Progress } from './progress.ts';
import type { Result } from './result.ts';

/** What the command line asks of a bench. */
export interface BenchSettings {
  /** Rounds that count, `undefined` for what the bench finds right. */
  readonly rounds: number | undefined;
  /** Small enough for a test to run it. The figures mean nothing then. */
  readonly quick: boolean;
  /** Only rows whose id or title contains this. */
  readonly only: string | undefined;
  readonly progress: Progress;
}

/** A bench is a module of its own, and gives what is kept of a run. `benches.ts` lists them. */
export type Bench<Kept extends Result = Result> = (settings: BenchSettings) => Promise<Kept>;

/** The rows `--only` asks for: those with its text in their id or title. All, where nothing is asked for. */
export function choose<Row extends { readonly id: string }>(
  rows: readonly Row[],
  only: string | undefined,
  title: (row: Row) => string,
): readonly Row[] {
  if (only === undefined) return rows;
  const chosen = rows.filter((row) => `${row.id} ${title(row)}`.toLowerCase().includes(only.toLowerCase()));
  if (chosen.length > 0) return chosen;
  throw new UsageError(`No row has "${only}" in its name. There are ${rows.map(({ id }) => id).join(', ')}.`);
}

/** Something is wrong with the command rather than with the code: said in one line, exit code 2. */
export class UsageError extends Error {}
