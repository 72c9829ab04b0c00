import { setImmediate } from 'node:timers/promises';
import { summarize } from './statistics.ts';

export interface Plan<Contender> {
  /** Rounds in which code is compiled and connections are opened. Dropped. */
  readonly warmUp: number;
  readonly rounds: number;
  /** Takes part in the first counted round only, because a round of it takes too long. */
  readonly once: (contender: Contender) => boolean;
  readonly onRound: (round: number) => void;
}

/**
 * Takes one sample of each contender, then one of each again, and so on, so that whatever slows the machine for
 * a while slows all of them. Each round begins with another contender, so that none always follows the same one.
 */
export async function interleave<Contender, Sample>(
  contenders: readonly Contender[],
  { warmUp, rounds, once, onRound }: Plan<Contender>,
  sample: (contender: Contender) => Promise<Sample>,
): Promise<Map<Contender, Sample[]>> {
  const samples = new Map<Contender, Sample[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < warmUp + rounds; round++) {
    onRound(round + 1);
    const first = round % contenders.length;
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      if (round !== warmUp && once(contender)) continue;
      const taken = await sample(contender);
      if (round >= warmUp) samples.get(contender)?.push(taken);
    }
  }
  return samples;
}

/**
 * What comes before each figure: an event loop that is through with its timers, and an empty young generation. Only
 * the young one, because a full collection makes V8 drop the optimised code of whatever it finds no living object for:
 * after each, every contender ran three times slower for a while.
 */
export async function settle(): Promise<void> {
  await setImmediate();
  collect('minor');
}

/** Nanoseconds `work` takes for each of `operations`. */
export async function nanosecondsPerOperation(operations: number, work: () => Promise<unknown>): Promise<number> {
  await settle();
  const start = performance.now();
  await work();
  return ((performance.now() - start) * 1e6) / operations;
}

/**
 * Nanoseconds one operation takes: the median of many, one after the other and each timed alone, so that what happens
 * to a few of them, a checkpoint or a collection, is not in it. Reading the clock, which is, takes some 50 ns.
 */
export async function medianNanoseconds<Result>(
  times: number,
  operation: (index: number) => Promise<Result>,
  check: (result: Result) => void = () => {},
): Promise<number> {
  const samples: number[] = [];
  await settle();
  for (let index = 0; index < times; index++) {
    const start = performance.now();
    const result = await operation(index);
    samples.push(performance.now() - start);
    check(result);
  }
  return summarize(samples).median * 1e6;
}

/** Collects all garbage, so that none of one contender is left for the next to clear away. */
export async function collectAll(): Promise<void> {
  // What finalizers and timers let go of in the first passes is collected by the last.
  for (let pass = 0; pass < 3; pass++) {
    collect('major');
    await setImmediate();
  }
}

/** Bytes of live heap, once all garbage is gone. */
export async function liveHeap(): Promise<number> {
  await collectAll();
  return process.memoryUsage().heapUsed;
}

function collect(type: 'major' | 'minor'): void {
  // `run.ts` has seen to it that it is there.
  globalThis.gc?.({ type, execution: 'sync' });
}
