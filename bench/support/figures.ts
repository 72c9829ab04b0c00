import { grouped } from './markdown.ts';

/** The row or cell of a run that a picture is about. */
export function named<Item>(items: readonly Item[], name: string, nameOf: (item: Item) => string): Item {
  const item = items.find((candidate) => nameOf(candidate) === name);
  if (item === undefined) throw new Error(`The results have no "${name}": run the whole bench again`);
  return item;
}

/** From here on nanoseconds are read as microseconds. */
const long = 10_000;

/** Nanoseconds as they are read: all in the unit of the longest of those beside it. */
export function duration(nanoseconds: number, longest: number): string {
  return longest < long ? `${grouped(nanoseconds)} ns` : `${threeDigits(nanoseconds / 1000)} µs`;
}

/** 0.48, 2.55, 17.6, 125 */
function threeDigits(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded.toFixed(rounded < 10 ? 2 : rounded < 100 ? 1 : 0);
}

/** How many rounds a figure is the median of. */
export function roundsOf(count: number): string {
  return count === 1 ? 'one round' : `${grouped(count)} rounds`;
}
