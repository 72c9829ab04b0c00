import type { Site } from '../holder.ts';
import { stackOf } from '../wording.ts';
import { excerpt } from './excerpt.ts';
import type { Bar, LeaseDetail } from './wire.ts';

// What a page can show of them. A script of a megabyte shall not be kept for it.
export const longestSql = 4000;
export const longestStack = 8000;

/** A lease that has ended, and what is told of it only when it is asked for. */
export class EndedLease {
  readonly bar: Bar;
  readonly #scope: number | undefined;
  readonly #sql: string | undefined;
  #site: Site | undefined;
  #stack: string | undefined;

  constructor(bar: Bar, scope: number | undefined, site: Site | undefined, sql: string | undefined) {
    this.bar = bar;
    this.#scope = scope;
    this.#site = site;
    this.#sql = sql;
  }

  /** How long it was held. */
  get held(): number {
    return this.bar.to - this.bar.from;
  }

  /** Keeps the text of its stack instead of what that is made of, which has hold of whoever made the calls. */
  settle(): void {
    if (this.#site === undefined) return;
    const stack = stackOf(this.#site);
    this.#stack = stack === undefined ? undefined : excerpt(stack, longestStack);
    this.#site = undefined;
  }

  detail(pool: number): Omit<LeaseDetail, 'notes'> {
    return { pool, ...this.bar, scope: this.#scope, stack: this.#stack, sql: this.#sql };
  }
}
