import type Database from 'better-sqlite3';
import { max, type Workloads } from '../contenders/contender.ts';
import { grouped } from '../support/markdown.ts';
import { collectAll, liveHeap, nanosecondsPerOperation } from '../support/measure.ts';

/** How much of it: so many loops at once, each so many times. */
export interface Size {
  readonly loops: number;
  readonly times: number;
}

/** One row of the matrix. */
export interface Trial {
  readonly id: string;
  readonly title: (size: Size) => string;
  readonly unit: 'ns' | 'B';
  readonly size: Size;
  /** For `--quick`. */
  readonly quick: Size;
  /** The part of the rounds it is given: less where a round is long, or hardly differs from the next. All, unless said. */
  readonly share?: number;
  /** Whether the figures of two contenders make a ratio. Yes, unless said. */
  readonly ratios?: boolean;
  /** Rounds that are dropped. */
  readonly warmUp: number;
  /** Contenders that take part in one round only, because each would take them ten seconds or more. */
  readonly once?: readonly string[];
  /** One figure, in `unit`. */
  readonly sample: (contender: Workloads, size: Size) => Promise<number>;
  /** What only those have who take part. All, unless said. */
  readonly needs?: 'queue' | 'watched';
}

const loop =
  (name: 'lease' | 'contended' | 'scoped' | 'select'): Trial['sample'] =>
  (contender, { loops, times }) =>
    nanosecondsPerOperation(loops * times, () =>
      // Alone is a plain await: `Promise.all` of one would be a cost of the harness.
      loops === 1 ? contender[name](times) : Promise.all(Array.from({ length: loops }, () => contender[name](times))),
    );

/**
 * A crowd this large outlives the young generation, so it is all collected before the next contender has its turn.
 * That costs the optimised code, which the contender gets back in a run that does not count.
 */
const crowd: Trial['sample'] = async (contender, size) => {
  await collectAll();
  await Promise.all(Array.from({ length: 64 }, () => contender.contended(Math.ceil((size.loops * size.times) / 400))));
  return loop('contended')(contender, size);
};

/** Bytes of heap for each acquire that waits, promise and timer included. */
const waiterBytes: Trial['sample'] = async ({ queue }, { loops }) => {
  if (queue === undefined) throw new Error('There is no queue to wait in');
  const held = await Promise.all(Array.from({ length: max }, () => queue.acquire()));
  // Full length from the start, so that the array's own growth is not counted.
  const waiters = Array.from<unknown, Promise<Database.Database> | undefined>({ length: loops }, () => undefined);
  const before = await liveHeap();
  for (let i = 0; i < loops; i++) waiters[i] = queue.acquire();
  const after = await liveHeap();
  for (const db of held) queue.release(db);
  for (const waiter of waiters) if (waiter !== undefined) queue.release(await waiter);
  return (after - before) / loops;
};

/** Bytes by which the live heap is larger after a long series of leases than before. */
const heapMoved: Trial['sample'] = async (contender, { times }) => {
  // What compiling and the first leases leave for good is not what is asked for.
  await contender.lease(Math.ceil(times / 10));
  const before = await liveHeap();
  await contender.lease(times);
  return (await liveHeap()) - before;
};

/** What a lease costs more while it is recorded where it is acquired and released. */
const watchingCost: Trial['sample'] = async (contender, { times }) => {
  const watched = await nanosecondsPerOperation(times, async () => contender.watched?.(times));
  return watched - (await nanosecondsPerOperation(times, () => contender.lease(times)));
};

const contended = (loops: number, times: number, quickLoops: number, more: Partial<Trial> = {}): Trial => ({
  id: `contended-${loops}`,
  title: (size) => `contended by ${grouped(size.loops)}`,
  unit: 'ns',
  size: { loops, times },
  quick: { loops: quickLoops, times: 4 },
  warmUp: 3,
  sample: loop('contended'),
  ...more,
});

/** The matrix of the bench: every trial with every contender. */
export const trials: readonly Trial[] = [
  {
    id: 'lease',
    title: () => 'acquire + release',
    unit: 'ns',
    size: { loops: 1, times: 100_000 },
    quick: { loops: 1, times: 2000 },
    warmUp: 3,
    sample: loop('lease'),
  },
  contended(64, 1500, 64),
  contended(1000, 100, 200),
  // tarn shifts its queue as an array, which beyond some 50 000 elements copies all of it each time.
  contended(100_000, 2, 1000, { once: ['tarn'], share: 0.6, sample: crowd }),
  {
    id: 'scoped',
    title: () => 'withConnection, empty function',
    unit: 'ns',
    size: { loops: 1, times: 100_000 },
    quick: { loops: 1, times: 2000 },
    warmUp: 3,
    sample: loop('scoped'),
  },
  {
    id: 'select',
    title: () => 'withConnection + select by key',
    unit: 'ns',
    size: { loops: 1, times: 10_000 },
    quick: { loops: 1, times: 500 },
    warmUp: 3,
    sample: loop('select'),
  },
  {
    id: 'watched',
    title: () => 'what leakThreshold adds to acquire + release',
    unit: 'ns',
    size: { loops: 1, times: 20_000 },
    quick: { loops: 1, times: 1000 },
    warmUp: 3,
    sample: watchingCost,
    needs: 'watched',
    ratios: false,
  },
  {
    id: 'waiter',
    title: ({ loops }) => `heap of a waiter, ${grouped(loops)} waiting`,
    unit: 'B',
    size: { loops: 100_000, times: 1 },
    quick: { loops: 2000, times: 1 },
    share: 0.2,
    warmUp: 1,
    once: ['tarn'],
    sample: waiterBytes,
    needs: 'queue',
  },
  {
    id: 'drift',
    title: ({ times }) => `heap moved by ${grouped(times)} leases`,
    unit: 'B',
    size: { loops: 1, times: 1_000_000 },
    quick: { loops: 1, times: 5000 },
    share: 0.2,
    warmUp: 0,
    sample: heapMoved,
    // How far a heap moved is around 0.
    ratios: false,
  },
];
