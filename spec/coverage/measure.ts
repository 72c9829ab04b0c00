import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

interface Place {
  readonly line: number;
  /** May be -1, for the end of the line before. */
  readonly column: number;
}

interface Range {
  readonly start: Place;
  readonly end: Place;
}

/** What c8 tells of a file: Istanbul's format, in which each line is a statement, and each of V8's blocks a branch. */
export interface FileReport {
  readonly path: string;
  readonly statementMap: Readonly<Record<string, Range>>;
  readonly s: Readonly<Record<string, number>>;
  readonly branchMap: Readonly<Record<string, { readonly locations: readonly Range[] }>>;
  readonly b: Readonly<Record<string, readonly number[]>>;
}

export interface Share {
  readonly covered: number;
  readonly all: number;
}

/** What never ran, as text of the file. */
export interface Gap {
  readonly line: number;
  readonly text: string;
}

export interface Measured {
  readonly lines: Share;
  readonly branches: Share;
  readonly gaps: readonly Gap[];
}

// V8 has blocks of its own between a block that always leaves and what follows it: nothing but white space and a brace.
const hasCode = /\w/;
const isComment = /^\s*(?:\/\/|\/?\*)/;

/** What of a file ran, `undefined` where nothing in it can: a file of types. */
export function measure(report: FileReport, source = readFileSync(report.path, 'utf8')): Measured | undefined {
  const code = stripTypeScriptTypes(source).split('\n');
  const counts = (line: number): boolean => {
    const text = code[line - 1] ?? '';
    return hasCode.test(text) && !isComment.test(text);
  };
  const lines = Object.entries(report.statementMap)
    .map(([key, { start }]) => ({ line: start.line, hits: report.s[key] ?? 0 }))
    .filter(({ line }) => counts(line));
  if (lines.length === 0) return undefined;
  const original = source.split('\n');
  const branches = Object.entries(report.branchMap)
    .flatMap(([key, { locations }]) =>
      locations.map((range, index) => ({
        line: Math.max(range.start.line, 1),
        text: textOf(original, range),
        hits: report.b[key]?.[index] ?? 0,
      })),
    )
    .filter(({ text }) => hasCode.test(text));
  const missed = branches.filter(({ hits }) => hits === 0);
  const inBranches = new Set(
    missed.flatMap(({ line, text }) => Array.from(text.split('\n'), (_, offset) => line + offset)),
  );
  const lost = lines.filter(({ hits }) => hits === 0);
  return {
    lines: { covered: lines.length - lost.length, all: lines.length },
    branches: { covered: branches.length - missed.length, all: branches.length },
    gaps: [
      ...missed.map(({ line, text }) => ({ line, text: text.trim() })),
      ...lost
        .filter(({ line }) => !inBranches.has(line))
        .map(({ line }) => ({ line, text: (original[line - 1] ?? '').trim() })),
    ].toSorted((a, b) => a.line - b.line),
  };
}

function textOf(lines: readonly string[], { start, end }: Range): string {
  const from = Math.max(start.column, 0);
  if (start.line === end.line) return (lines[start.line - 1] ?? '').slice(from, end.column);
  const between = lines.slice(start.line, end.line - 1);
  return [(lines[start.line - 1] ?? '').slice(from), ...between, (lines[end.line - 1] ?? '').slice(0, end.column)].join(
    '\n',
  );
}
