import type { ExecutionContext } from 'ava';
import { readAddress } from '../../../../lib/cli/top/address.ts';
import { follow, type Link, type Patience } from '../../../../lib/cli/top/feed.ts';
import type { Report } from '../../../../lib/inspector/wire.ts';

const endless = 1_000_000;

/** Whoever has it waits for as long as the test does. */
export const endlessly: Patience = { first: endless, next: endless, last: endless, answer: endless, again: endless };

/** What somebody who follows was told, in order. */
export class Following {
  readonly reports: Report[] = [];
  readonly links: Link[] = [];
  readonly ended: Promise<void>;
  readonly #controller = new AbortController();
  #told = Promise.withResolvers<void>();

  constructor(t: ExecutionContext, url: string, patience: Patience = endlessly) {
    const tell = () => {
      this.#told.resolve();
      this.#told = Promise.withResolvers();
    };
    const listener = {
      report: (told: Report) => {
        this.reports.push(told);
        tell();
      },
      link: (link: Link) => {
        this.links.push(link);
        tell();
      },
    };
    this.ended = follow(readAddress(url, []), listener, { interval: 20, signal: this.#controller.signal, patience });
    this.ended.catch(() => {});
    t.teardown(() => this.#controller.abort());
  }

  /** Fails where it ends before. */
  async until(passes: (following: this) => boolean): Promise<void> {
    while (!passes(this))
      await Promise.race([this.#told.promise, this.ended.then(() => Promise.reject(new Error('ended')))]);
  }

  stop(): Promise<void> {
    this.#controller.abort();
    return this.ended;
  }
}
