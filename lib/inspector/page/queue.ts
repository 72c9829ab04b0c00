import type { Tick } from '../wire.ts';

/** How many waited, from one time to another. */
export interface QueueStep {
  readonly from: number;
  readonly to: number;
  readonly waiting: number;
  readonly laneWaiting: number;
}

/** The queue of a pool over time, without the times at which it was empty. */
export function queueSteps(ticks: readonly Tick[], pool: number, interval: number): readonly QueueStep[] {
  const steps: QueueStep[] = [];
  let from = (ticks[0]?.at ?? 0) - interval;
  for (const { at, pools } of ticks) {
    const part = pools.find((each) => each.pool === pool);
    if (part !== undefined && part.waiting + part.laneWaiting > 0) {
      steps.push({ from, to: at, waiting: part.waiting, laneWaiting: part.laneWaiting });
    }
    from = at;
  }
  return steps;
}

/** The height of the picture: a round number that is not less than any, and not so small that one waiter looks like a crowd. */
export function queueTop(steps: readonly QueueStep[]): number {
  const most = Math.max(0, ...steps.map(({ waiting, laneWaiting }) => waiting + laneWaiting));
  const unit = 10 ** Math.floor(Math.log10(Math.max(4, most)));
  const factor = [1, 1.5, 2, 3, 4, 5, 6, 8].find((each) => each * unit >= Math.max(4, most)) ?? 10;
  return factor * unit;
}
