import type { Item } from './items.ts';

/** Maps times to pixels of the screen: `origin` is at 0. */
export interface Scale {
  readonly origin: number;
  readonly perMillisecond: number;
}

/** Where something is, on whole pixels. */
export interface Extent {
  readonly x: number;
  readonly width: number;
  /** How much of that it really fills: less than 1 for what is shorter than a pixel. */
  readonly cover: number;
}

export function xOf(scale: Scale, at: number): number {
  return (at - scale.origin) * scale.perMillisecond;
}

export function timeAt(scale: Scale, x: number): number {
  return scale.origin + x / scale.perMillisecond;
}

/** At least a pixel wide, since what happened is to be seen. */
export function extentOf(scale: Scale, from: number, to: number): Extent {
  const x = Math.round(xOf(scale, from));
  const width = Math.max(1, Math.round(xOf(scale, to)) - x);
  const cover = Math.min(1, Math.max(0, ((to - from) * scale.perMillisecond) / width));
  return { x, width, cover };
}

/** What part of `extent` lies between two edges; `undefined` where it lies outside. */
export function within(extent: Extent, left: number, right: number): Extent | undefined {
  const x = Math.max(extent.x, left);
  const end = Math.min(extent.x + extent.width, right);
  return end <= x ? undefined : { x, width: end - x, cover: extent.cover };
}

/**
 * What is at a time, or at most `slack` away from it: of several the mark, then the nearest, then the shortest, since that is the
 * hardest to point at. `now` is where ends what goes on.
 */
export function hit(items: readonly Item[], at: number, slack: number, now: number): Item | undefined {
  let best: Item | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const to = Math.min(item.to, now);
    const distance = Math.max(0, item.from - at, at - to);
    // A mark is wider than the moment it stands for.
    const reach = item.type === 'note' ? slack * 2 : slack;
    if (distance > reach || item.from > now) continue;
    const rank = item.type === 'note' ? 0 : item.type === 'rest' ? 2e9 : 1e9;
    const cost = rank + distance * 1e4 + Math.min(1e4, to - item.from);
    if (cost < least) {
      least = cost;
      best = item;
    }
  }
  return best;
}

/** As much of a text as fits, with an ellipsis where it was cut; empty where nearly nothing would be left. */
export function fitted(text: string, width: number, measure: (text: string) => number): string {
  if (measure(text) <= width) return text;
  let fits = 0;
  let fails = text.length;
  while (fails - fits > 1) {
    const middle = (fits + fails) >> 1;
    if (measure(`${text.slice(0, middle)}…`) <= width) fits = middle;
    else fails = middle;
  }
  return fits < 2 ? '' : `${text.slice(0, fits).trimEnd()}…`;
}

/** Seconds between two lines of the grid, so that their labels do not touch. */
export function gridStep(span: number, width: number): number {
  const steps = [500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000];
  return steps.find((step) => (step / span) * width >= 72) ?? 60_000;
}
