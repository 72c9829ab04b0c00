import type { FileState } from '../outside/file-state.ts';

export function number(value: number): string {
  return value.toLocaleString('en');
}

/** `1 table`, `2 tables`; `countOf(2, 'index', 'indexes')`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** What goes with each advice to make the file anew. */
export const ofVacuum =
  'Rows of tables without an INTEGER PRIMARY KEY may get other rowids by it: mind what refers to those, as an FTS table with `content=` does.';

/** `12 %`, and never 0 or 100 of what is a little more or less. */
export function percent(share: number): string {
  if (share > 0 && share < 0.01) return 'less than 1 %';
  return `${share < 1 ? Math.min(99, Math.round(share * 100)) : 100} %`;
}

/** A process as a person finds it again. */
export function processName(state: FileState, pid: number): string {
  const command = state.processes?.find((candidate) => candidate.pid === pid)?.command;
  return command === undefined ? `process ${pid}` : `process ${pid} (${cutTo(command.replaceAll(/\s+/g, ' '), 80)})`;
}

export function cutTo(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
