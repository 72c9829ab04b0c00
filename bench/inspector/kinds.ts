/** Who watches the pool of a process. */
export type Kind = 'none' | 'recording' | 'watched' | 'crowd';

/** One row of the matrix. */
export interface Row {
  readonly id: Kind;
  readonly title: string;
  /** How many read the stream of events. */
  readonly viewers: number;
}

/** The first is what the others are measured against. */
export const rows: readonly Row[] = [
  { id: 'none', title: 'no inspector', viewers: 0 },
  { id: 'recording', title: 'an inspector that nobody looks at', viewers: 0 },
  { id: 'watched', title: 'somebody looks', viewers: 1 },
  { id: 'crowd', title: 'ten look at once', viewers: 10 },
];

/** Leases of each process in a second, every tenth of them a write transaction. */
export const leasesPerSecond = 500;

/** What the project holds itself to, in parts of a core. */
export const bar = {
  claim: `part of a core at ${leasesPerSecond} leases a second, while somebody looks`,
  row: 'watched',
  limit: 0.01,
} as const;

/** What a process says once it is ready, and after each round. */
export type Said = { readonly port: number } | { readonly processor: number; readonly elapsed: number };

/** What it is asked: to do its work for so many milliseconds. */
export interface Task {
  readonly duration: number;
}
