import type { PoolState, Span, Tick } from '../../inspector/wire.ts';
import { ofPool } from './history.ts';

/** Times of day, cut into columns of one width. A column keeps its place while time goes on, so that the picture moves as a whole. */
export interface Columns {
  readonly count: number;
  readonly width: number;
  /** Where the first one begins. */
  readonly from: number;
  /** Where what is known ends, within the last one. */
  readonly now: number;
}

/** What became of one connection within a column. */
export interface Activity {
  /** Share of the time in which it was held, 0 to 1; `undefined` for a time of which nothing is known. */
  readonly held: number | undefined;
  /** Share in which its holder could write. */
  readonly wrote: number;
}

export function columnsUntil(now: number, period: number, count: number): Columns {
  const width = period / count;
  return { count, width, from: (Math.ceil(now / width) - count) * width, now };
}

/** Adds times of day up, column by column. */
class Sums {
  readonly #columns: Columns;
  readonly sums: number[];

  constructor(columns: Columns) {
    this.#columns = columns;
    this.sums = Array.from({ length: columns.count }, () => 0);
  }

  /** @param share of the span that counts */
  add([from, to]: Span, share = 1): void {
    const { width, from: start, count } = this.#columns;
    const first = Math.max(0, Math.floor((from - start) / width));
    const last = Math.min(count - 1, Math.floor((to - start) / width));
    for (let column = first; column <= last; column++) {
      const begin = start + column * width;
      const length = Math.min(to, begin + width) - Math.max(from, begin);
      if (length > 0) this.sums[column] = (this.sums[column] ?? 0) + length * share;
    }
  }
}

/** What became of each connection of a pool in each column, by the number of the connection. */
export function activityOf(
  pool: PoolState,
  ticks: readonly Tick[],
  columns: Columns,
): ReadonlyMap<number, readonly Activity[]> {
  const sums = new Map(pool.connections.map((id) => [id, { held: new Sums(columns), wrote: new Sums(columns) }]));
  const known = new Sums(columns);
  let before: number | undefined;
  for (const tick of ticks) {
    const of = ofPool(tick, pool.id);
    const span: Span = [before ?? tick.at - columns.width, tick.at];
    before = tick.at;
    if (of === undefined) continue;
    known.add(span);
    for (const { connection, from, to, writes } of of.bars) {
      sums.get(connection)?.held.add([from, to]);
      for (const write of writes) sums.get(connection)?.wrote.add(write);
    }
    const length = Math.max(span[1] - span[0], 1);
    for (const { connection, held, wrote } of of.rest) {
      sums.get(connection)?.held.add(span, Math.min(1, held / length));
      sums.get(connection)?.wrote.add(span, Math.min(1, wrote / length));
    }
  }
  for (const { connection, from, age, writes } of pool.holders) {
    sums.get(connection)?.held.add([from, Math.max(columns.now, from + age)]);
    for (const write of writes) sums.get(connection)?.wrote.add(write);
  }
  const told = known.sums.map((sum, column) => sum > 0 || column === columns.count - 1);
  return new Map(
    [...sums].map(([id, { held, wrote }]) => [
      id,
      told.map((isTold, column) => {
        const share = shareOf(held.sums[column], column, columns);
        return {
          held: isTold || share > 0 ? share : undefined,
          wrote: shareOf(wrote.sums[column], column, columns),
        };
      }),
    ]),
  );
}

function shareOf(sum: number | undefined, column: number, { from, width, now }: Columns): number {
  // Of the last column only the beginning has been.
  const length = Math.min(width, now - (from + column * width));
  return length <= 0 || sum === undefined ? 0 : Math.min(1, sum / length);
}

/** The most of something within each column; `undefined` for one without a tick. A tick stands for the time since the one before. */
export function peaksOf<Sample extends Pick<Tick, 'at'>>(
  ticks: readonly Sample[],
  columns: Columns,
  read: (tick: Sample) => number | undefined,
): readonly (number | undefined)[] {
  const peaks: (number | undefined)[] = Array.from({ length: columns.count }, () => undefined);
  let before: number | undefined;
  for (const tick of ticks) {
    const value = read(tick);
    const from = before ?? tick.at;
    before = tick.at;
    if (value === undefined) continue;
    // A tick wider than a column fills all that it covers.
    const first = Math.max(0, columnOf(from, columns) + 1);
    const last = Math.min(columns.count - 1, columnOf(tick.at, columns));
    for (let column = Math.min(first, last); column <= last; column++) {
      if (column >= 0) peaks[column] = Math.max(peaks[column] ?? 0, value);
    }
  }
  return peaks;
}

function columnOf(time: number, { from, width }: Columns): number {
  // A tick belongs to the time before its end.
  return Math.ceil((time - from) / width) - 1;
}
