import type { Transactions } from '../contenders/transactor.ts';
import { accountOf } from '../support/database.ts';
import { settle } from '../support/measure.ts';
import { watchStalls } from '../support/stalls.ts';
import { loops, type Turn } from './mixes.ts';

/** What came of one turn of one contender. */
export interface Run {
  /** Begun, whatever came of them. */
  readonly operations: number;
  readonly committed: number;
  /** Those of the committed that wrote. */
  readonly written: number;
  /** Operations that failed, by the code of their error. */
  readonly errors: Readonly<Record<string, number>>;
  /** From the first operation to the end of the last. */
  readonly seconds: number;
  /** Milliseconds for which the event loop stood still at worst. */
  readonly stall: number;
}

/**
 * Has a contender do operations in 64 loops at once, until its turn is over. An operation that fails is counted; a
 * snapshot that changes ends the run.
 */
export async function runLoops(
  transactions: Transactions,
  isWrite: (operation: number) => boolean,
  turn: Turn,
): Promise<Run> {
  const errors: Record<string, number> = {};
  let operations = 0;
  let committed = 0;
  let written = 0;
  const torn: TornSnapshotError[] = [];

  const perform = async (operation: number) => {
    const account = accountOf(operation);
    if (isWrite(operation)) {
      await transactions.write(account);
      written++;
    } else {
      const [first, second] = await transactions.read(account);
      if (first !== second) throw new TornSnapshotError(first, second);
    }
    committed++;
  };

  await settle();
  const stalls = watchStalls();
  const start = performance.now();
  const loop = async () => {
    while (torn.length === 0 && operations < turn.operations && performance.now() - start < turn.milliseconds) {
      try {
        await perform(operations++);
      } catch (error) {
        if (error instanceof TornSnapshotError) torn.push(error);
        const code = codeOf(error);
        errors[code] = (errors[code] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
  const seconds = (performance.now() - start) / 1000;
  const stall = stalls();
  if (torn[0] !== undefined) throw torn[0];
  return { operations, committed, written, errors, seconds, stall };
}

class TornSnapshotError extends Error {
  constructor(first: number, second: number) {
    super(`A snapshot changed under a read, from ${first} to ${second}`);
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
