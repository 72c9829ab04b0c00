/** What stands before the one route of the app. */
export type Kind = 'plain' | 'layer' | 'als' | 'scope' | 'eager';

/** One row of the matrix. */
export interface Row {
  readonly id: Kind;
  readonly title: string;
}

/** The first is what the others are measured against. */
export const rows: readonly Row[] = [
  { id: 'plain', title: 'Express alone' },
  { id: 'layer', title: 'a middleware that only calls next()' },
  { id: 'als', title: 'AsyncLocalStorage.run(store, next)' },
  { id: 'scope', title: 'express(pool)' },
  { id: 'eager', title: 'express(pool, { eager: true })' },
];

/** What the project holds itself to: requests served with a scope take so much of the processor, of one without. */
export const bar = {
  claim: 'processor time of a request with a scope, of one without',
  row: 'scope',
  limit: 1.03,
} as const;

/** What a server is asked, and says. */
export interface Report {
  readonly port: number;
  /** Microseconds of processor time it has taken so far. */
  readonly processor: number;
}
