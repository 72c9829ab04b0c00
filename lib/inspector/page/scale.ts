/** Maps values to 0 at the bottom and 1 at the top. */
export interface ValueScale {
  readonly ticks: readonly number[];
  place(value: number): number;
}

// What is shorter than this is as good as nothing: the line lies at the bottom.
const least = 0.01;

/**
 * Waits and holds go from microseconds to seconds, and what matters is by what factor they grew: so by powers of ten, at least
 * three of them, that nothing looks like a mountain which is none.
 */
export function logScale(values: readonly number[]): ValueScale {
  const positive = values.filter((value) => value >= least && Number.isFinite(value));
  const high = Math.ceil(Math.log10(Math.max(1, ...positive)) - 1e-9);
  const low = Math.min(high - 3, Math.floor(Math.log10(Math.min(1, ...positive)) + 1e-9));
  const from = Math.max(low, Math.log10(least));
  const ticks = Array.from({ length: high - from + 1 }, (_, index) => Number((10 ** (from + index)).toPrecision(1)));
  return {
    ticks,
    place: (value) => Math.max(0, Math.min(1, (Math.log10(Math.max(value, least)) - from) / (high - from))),
  };
}

/** A share of a whole. */
export const shareScale: ValueScale = {
  ticks: [0, 0.5, 1],
  place: (value) => Math.max(0, Math.min(1, value)),
};

/** Values over time; `undefined` where there was nothing to measure. */
export interface Point {
  readonly at: number;
  readonly values: readonly (number | undefined)[];
}

/** The path of one line through a box of 100 by 100, which is left out where there is no value or a gap in time. */
export function pathOf(
  points: readonly Point[],
  line: number,
  scale: ValueScale,
  from: number,
  to: number,
  gap: number,
): string {
  let path = '';
  let last: number | undefined;
  for (const { at, values } of points) {
    const value = values[line];
    if (value === undefined || at < from) {
      last = undefined;
      continue;
    }
    const x = ((at - from) / (to - from)) * 100;
    const begins = last === undefined || at - last > gap;
    // A dot is a line that ends where it begins, but for the least that is seen.
    path += `${begins ? 'M' : 'L'}${x.toFixed(2)} ${(100 - scale.place(value) * 100).toFixed(2)}${begins ? 'h.2' : ''}`;
    last = at;
  }
  return path;
}

/** The point nearest to a time. */
export function nearestPoint(points: readonly Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) if (best === undefined || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
  return best;
}
