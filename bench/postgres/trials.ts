import { grouped } from '../support/markdown.ts';
import { settle } from '../support/measure.ts';
import { summarize } from '../support/statistics.ts';
import type { Workloads } from './contenders/contender.ts';

type Loop = 'lease' | 'query' | 'oneShot' | 'named' | 'transaction' | 'scope' | 'abortedWaits';

/** What one round of one contender came to, in nanoseconds for each operation. */
export interface Sample {
  readonly time: number;
  /** Processor time of this process: without the server, and hardly touched by what else uses the machine. */
  readonly processor: number;
  /** The time that all but one in a hundred of the calls were done in. Only where many are made at once. */
  readonly p99: number | undefined;
}

/** How much of it: so many calls at once, each round so many times. */
export interface Size {
  readonly calls: number;
  readonly times: number;
}

/** One row of the matrix. */
export interface Trial {
  readonly id: string;
  readonly title: (size: Size) => string;
  readonly size: Size;
  /** For `--quick`. */
  readonly quick: Size;
  /** The part of the rounds it is given. All, unless said. */
  readonly share?: number;
  /** What it has a contender do. Who can not takes no part. */
  readonly loop: Loop;
  /** Whether the floor takes part: one connection has nobody wait for it. Yes, unless said. */
  readonly floor?: boolean;
  /** By how much an operation raises the counter of its contender. 0 unless said. */
  readonly counts?: number;
  readonly sample: (run: (times: number) => Promise<void>, size: Size) => Promise<Sample>;
}

/** One after the other. */
const inTurn: Trial['sample'] = (run, { times }) => measure(times, () => run(times));

/** All at once, and from the start of all to the end of the last; then the next time. */
const atOnce: Trial['sample'] = async (run, { calls, times }) => {
  const latencies: number[] = [];
  const call = async (): Promise<void> => {
    const start = performance.now();
    await run(1);
    latencies.push((performance.now() - start) * 1e6);
  };
  const sample = await measure(calls * times, async () => {
    for (let i = 0; i < times; i++) await Promise.all(Array.from({ length: calls }, call));
  });
  latencies.sort((a, b) => a - b);
  return { ...sample, p99: latencies[Math.ceil(latencies.length * 0.99) - 1] };
};

async function measure(operations: number, work: () => Promise<void>): Promise<Sample> {
  await settle();
  const before = process.cpuUsage();
  const start = performance.now();
  await work();
  const elapsed = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { time: (elapsed * 1e6) / operations, processor: ((user + system) * 1e3) / operations, p99: undefined };
}

const single = (id: string, loop: Loop, title: string, times: number, more: Partial<Trial> = {}): Trial => ({
  id,
  title: () => title,
  size: { calls: 1, times },
  quick: { calls: 1, times: Math.ceil(times / 20) },
  loop,
  sample: inTurn,
  ...more,
});

const crowd = (id: string, loop: Loop, what: string, calls: number, times: number): Trial => ({
  id: `${id}-${calls}`,
  title: (size) => `${what}, ${grouped(size.calls)} at once`,
  size: { calls, times },
  quick: { calls: Math.min(calls, 200), times: 1 },
  loop,
  floor: false,
  sample: atOnce,
});

/** The matrix of the bench: every trial with every contender that can. */
export const trials: readonly Trial[] = [
  single('lease', 'lease', 'lease alone', 2000),
  single('query', 'query', 'lease + SELECT 1', 150),
  single('one-shot', 'oneShot', 'one-shot query', 150),
  single('named', 'named', 'one-shot query, prepared under a name', 150),
  single('transaction', 'transaction', 'transaction of two statements', 50, { counts: 1 }),
  single('scope', 'scope', 'scope with three queries', 50),
  crowd('crowd', 'query', 'lease + SELECT 1', 64, 4),
  crowd('crowd', 'query', 'lease + SELECT 1', 1000, 1),
  crowd('one-shots', 'oneShot', 'one-shot query', 1000, 1),
  {
    id: 'aborted',
    title: ({ times }) => `a wait that is aborted, ${grouped(times)} waiting`,
    size: { calls: 1, times: 1000 },
    quick: { calls: 1, times: 50 },
    loop: 'abortedWaits',
    sample: inTurn,
  },
];

/** Of the samples of one contender, each round beside that of another. */
export function ratios(own: readonly Sample[], other: readonly Sample[], figure: 'time' | 'processor') {
  return summarize(own.map((sample, round) => sample[figure] / (other[round]?.[figure] ?? Number.NaN)));
}

/** What a trial has this contender run, `undefined` where it takes no part. */
export function loopOf({ loop, floor = true }: Trial, name: string, loads: Workloads) {
  const run = loads[loop];
  return run === undefined || (name === 'floor' && !floor) ? undefined : run.bind(loads);
}
