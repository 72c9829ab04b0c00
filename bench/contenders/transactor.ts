import { setImmediate, setTimeout } from 'node:timers/promises';

/** One way to run transactions that await, ready for the mixes. */
export interface Transactor {
  readonly name: string;
  /** Opens it on a file. */
  open(file: string): Transactions;
}

/**
 * What a mix has a contender do, each operation written out in the contender's own idiom. The loop around them is the
 * same for all: an operation takes a millisecond, a call less than a ten-thousandth of it.
 */
export interface Transactions {
  /** In one transaction reads the balance of an account, awaits a millisecond, writes the balance with 1 added. */
  write(account: number): Promise<void>;
  /** In one snapshot reads a balance, awaits a millisecond, reads it again. Gives both. */
  read(account: number): Promise<readonly [number, number]>;
  /** What is held, open or waited for. All 0 where nothing runs. */
  left(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

let isWarmingUp = false;

/** What a transaction awaits: a millisecond of a real timer, as long as a fast answer from elsewhere. */
export function oneMillisecond(): Promise<void> {
  return isWarmingUp ? setImmediate() : setTimeout(1);
}

/**
 * Has `run` done with a turn of the event loop for each millisecond. One transaction after the other, each with its
 * millisecond, would take half a minute until V8 has compiled what a server has compiled in its first minutes.
 */
export async function warmingUp<Result>(run: () => Promise<Result>): Promise<Result> {
  isWarmingUp = true;
  try {
    return await run();
  } finally {
    isWarmingUp = false;
  }
}
