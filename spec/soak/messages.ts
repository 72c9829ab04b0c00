import type { Violation } from './invariants/violation.ts';

/** What a worker process is started with. */
export interface WorkerSettings {
  readonly file: string;
  readonly seed: number;
  readonly worker: number;
  readonly incarnation: number;
  readonly max: number;
}

/** What a worker has done and seen so far. */
export interface Figures {
  readonly operations: number;
  readonly commits: number;
  readonly rollbacks: number;
  readonly aborts: number;
  readonly timeouts: number;
  readonly leaks: number;
  readonly audits: number;
  readonly quietPoints: number;
  /** Checks that an invariant stood, by its name. */
  readonly checks: Readonly<Record<string, number>>;
  /** Errors that operations met, by kind and code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Longest time that the event loop stood still, and how much of it the thread slept, in milliseconds. */
  readonly worstStall: number;
  readonly worstSleep: number;
  /** How late the latest refusal came, less what the event loop was late itself, in milliseconds. */
  readonly worstLateness: number;
  /** Calls that were held up for long by disk or machine, not by a lock. */
  readonly hitches: number;
  /** Bytes of the heap and open descriptors, at the last quiet point. */
  readonly heap: number;
  readonly descriptors: number;
}

/** What a worker tells its parent. */
export type FromWorker =
  | { readonly type: 'outcome'; readonly kept: boolean; readonly numbers: readonly number[] }
  | { readonly type: 'figures'; readonly figures: Figures }
  | { readonly type: 'violation'; readonly violation: Violation }
  | {
      readonly type: 'done';
      readonly memory: { readonly heaps: readonly number[]; readonly descriptors: readonly number[] };
    };

/** What the parent tells a worker. */
export type ToWorker = { readonly type: 'stop' };
