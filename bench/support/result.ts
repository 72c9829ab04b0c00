import type { Chart } from './chart.ts';

/** What a figure must be read with. */
export interface Machine {
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** Processes that wanted a core in the minute before the run. Well above 0, and the figures are not to be trusted. */
  readonly load: number;
  /** The same at the end. Well above that at the start, and somebody else has used the machine meanwhile. */
  readonly loadAfter?: number;
  /** Of the database first, then of the packages. */
  readonly versions: Readonly<Record<string, string>>;
}

/** What a run found, as it is kept: nothing but data, with the figure of each round. */
export interface Result {
  readonly bench: string;
  readonly quick: boolean;
  readonly machine: Machine;
}

/**
 * What people are shown of the results of a bench. It is made of what is kept of a run and of nothing else, so that it can
 * be made again without running anything.
 */
export interface Presentation<Kept extends Result> {
  /** Tables of all that was measured. */
  tables(result: Kept): string;
  /** A table of what the project holds itself to. Empty, where no bar can be told from what was run. */
  judgement(result: Kept): string;
  charts(result: Kept): readonly Chart[];
}

/** In parts, so that whoever has little room can break it between them. */
export function machineParts({ date, node, cpu, cores, load, loadAfter, versions }: Machine): string[] {
  return [
    date,
    `Node ${node}`,
    `${cpu}, ${cores} cores`,
    loadAfter === undefined
      ? `load ${load.toFixed(2)} at the start`
      : `load ${load.toFixed(2)} to ${loadAfter.toFixed(2)}`,
    ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
  ];
}

/** Digits that are kept of a figure: more than any machine repeats, and few enough for the file to be read. */
const digits = 6;
/** As wide as the formatter of this repository lets a line be. */
const lineWidth = 120;

/** What is kept of a run, as the text of a file: as compact as it fits, numbers of one array in lines. */
export function resultText(result: Result): string {
  const rounded = JSON.parse(
    JSON.stringify(result, (_, value: unknown) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(digits)) : value,
    ),
  ) as unknown;
  return `${layOut(rounded, '', 0)}\n`;
}

/** @param taken what stands before and behind it in its first line */
function layOut(value: unknown, indent: string, taken: number): string {
  const flat = inline(value);
  if (typeof value !== 'object' || value === null || indent.length + taken + flat.length <= lineWidth) return flat;
  const inner = `${indent}  `;
  if (!Array.isArray(value)) {
    const fields = Object.entries(value).map(([key, field]) => {
      const name = `${JSON.stringify(key)}: `;
      return `${inner}${name}${layOut(field, inner, name.length + 1)}`;
    });
    return `{\n${fields.join(',\n')}\n${indent}}`;
  }
  const items = value as readonly unknown[];
  const lines = items.every((item) => typeof item === 'number')
    ? filled(items.map(String), lineWidth - inner.length)
    : items.map((item) => layOut(item, inner, 1));
  return `[\n${lines.map((line) => inner + line).join(',\n')}\n${indent}]`;
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, field]) => `${JSON.stringify(key)}: ${inline(field)}`);
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
}

/** As many to a line as fit, each with a comma behind it. */
function filled(items: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const item of items) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + item.length + 3 <= width) lines[lines.length - 1] = `${last}, ${item}`;
    else lines.push(item);
  }
  return lines;
}
