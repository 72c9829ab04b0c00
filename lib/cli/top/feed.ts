import { setTimeout as delay } from 'node:timers/promises';
import type { Report } from '../../inspector/wire.ts';
import { CommandError } from '../command.ts';
import { type Address, urlOf } from './address.ts';
import { EventStreamParser } from './event-stream.ts';
import { NoReportError, readReport } from './report.ts';
import { ask, LinkError, reasonOf, UnreachableError } from './request.ts';

/** How reports come, or why none do. */
export type Link =
  | { readonly state: 'live' }
  /** Asked for one after the other: the stream does not come through. */
  | { readonly state: 'polling' }
  /** The stream is open, and nothing comes: the process is busy with something else, or stopped. */
  | { readonly state: 'silent' }
  | { readonly state: 'lost'; readonly reason: string };

export interface FeedListener {
  report(report: Report): void;
  link(link: Link): void;
}

export interface FeedOptions {
  /** Between two questions, where the stream does not come through. */
  readonly interval: number;
  readonly signal: AbortSignal;
  readonly patience?: Patience;
}

/** How long what is waited for. */
export interface Patience {
  /** For the first report of a stream, which is sent at once: what has held it back for so long will hold back the others too. */
  readonly first: number;
  /** For the next one, until the server is called silent. */
  readonly next: number;
  /** For the next one, until the stream is opened anew. A loop that is blocked may yet go on, and then tells of it. */
  readonly last: number;
  /** For the answer to a question. */
  readonly answer: number;
  /** Before the stream is tried again where questions had to do. Twice as long after each vain attempt, up to 16 times. */
  readonly again: number;
}

const usualPatience: Patience = { first: 3000, next: 5000, last: 30_000, answer: 10_000, again: 15_000 };

const firstPause = 500;
const longestPause = 10_000;
const longestAgain = 16;

/** One report, with all that is kept. @throws CommandError where there is none to be had */
export async function fetchReport(
  address: Address,
  signal: AbortSignal,
  { answer }: Patience = usualPatience,
): Promise<Report> {
  try {
    return await poll(address, undefined, signal, answer);
  } catch (error) {
    throw asCommandError(error, address);
  }
}

/**
 * Tells of every report until the signal is aborted: from the stream, or by asking again and again where that does not come
 * through. After the first report nothing but another protocol makes it give up: it tries again, ever less often.
 *
 * @throws CommandError where there has been no report at all
 */
export async function follow(
  address: Address,
  listener: FeedListener,
  { interval, signal, patience = usualPatience }: FeedOptions,
): Promise<void> {
  const source = new Source(address, listener, signal, patience);
  let pause = firstPause;
  let again = 1;
  while (!signal.aborted) {
    const before = source.reports;
    try {
      const reason = await source.stream();
      // One that ends so early is one that something on the way does not let through. Or the process was busy for a while.
      if (source.reports <= before + 1) {
        await source.pollEvery(interval, again * patience.again);
        again = Math.min(again * 2, longestAgain);
        pause = firstPause;
        continue;
      }
      again = 1;
      // An inspector ends long streams as such: only when there is not another is anything lost.
      if (reason !== undefined) listener.link({ state: 'lost', reason });
    } catch (error) {
      if (signal.aborted) return;
      if (source.reports === 0 || error instanceof CommandError) throw asCommandError(error, address);
      listener.link({ state: 'lost', reason: messageOf(error) });
    }
    if (source.reports > before) pause = firstPause;
    // Spread out, so that a hundred terminals do not come back to a server in the same moment.
    await delay(pause * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});
    pause = Math.min(pause * 2, longestPause);
  }
}

/** The last report that was told of: what comes next is asked for from there. */
interface Position {
  readonly server: string;
  readonly tick: number;
}

class Source {
  reports = 0;
  readonly #address: Address;
  readonly #listener: FeedListener;
  readonly #signal: AbortSignal;
  readonly #patience: Patience;
  #position: Position | undefined;

  constructor(address: Address, listener: FeedListener, signal: AbortSignal, patience: Patience) {
    this.#patience = patience;
    this.#address = address;
    this.#listener = listener;
    this.#signal = signal;
  }

  /**
   * Comes to the reason for which the stream broke off, or was not let through; `undefined` where it was ended.
   *
   * @throws UnreachableError
   */
  async stream(): Promise<string | undefined> {
    const watchdog = new Watchdog(this.#signal, this.#patience, () => this.#listener.link({ state: 'silent' }));
    try {
      const response = await ask(urlOf(this.#address, 'events'), this.#address, 'text/event-stream', watchdog.signal);
      const parser = new EventStreamParser();
      let first = true;
      for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        for (const { name, data } of parser.push(text)) {
          if (name !== 'report') continue;
          this.#tell(readReport(data));
          if (first || watchdog.wasSilent) this.#listener.link({ state: 'live' });
          first = false;
          watchdog.fed();
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof CommandError || error instanceof UnreachableError || this.#signal.aborted) throw error;
      return watchdog.signal.aborted ? 'nothing comes any more' : messageOf(error);
    } finally {
      watchdog.stop();
    }
  }

  /** Ends when the stream is to be tried again. Rejects with the reason for which it can not go on. */
  async pollEvery(interval: number, duration: number): Promise<void> {
    const end = performance.now() + duration;
    for (let first = true; first || performance.now() < end; first = false) {
      const asked = performance.now();
      const report = await poll(this.#address, first ? undefined : this.#position, this.#signal, this.#patience.answer);
      this.#tell(report);
      if (first) this.#listener.link({ state: 'polling' });
      await delay(Math.max(0, interval - (performance.now() - asked)), undefined, { signal: this.#signal });
    }
  }

  #tell(report: Report): void {
    this.reports++;
    const tick = report.ticks.at(-1)?.number ?? (report.complete ? undefined : this.#position?.tick);
    this.#position = tick === undefined ? undefined : { server: report.server.id, tick };
    this.#listener.report(report);
  }
}

async function poll(
  address: Address,
  after: Position | undefined,
  signal: AbortSignal,
  patience: number,
): Promise<Report> {
  const query = after === undefined ? {} : { after: String(after.tick), server: after.server };
  const within = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
  try {
    const response = await ask(urlOf(address, 'data', query), address, 'application/json', within);
    return readReport(await response.text());
  } catch (error) {
    if (within.aborted && !signal.aborted) throw new LinkError('it does not answer');
    throw error;
  }
}

/** Sees to it that a stream on which nothing comes is noticed, and at last given up. */
class Watchdog {
  readonly signal: AbortSignal;
  wasSilent = false;
  readonly #controller = new AbortController();
  readonly #patience: Patience;
  readonly #silent: () => void;
  #timers: NodeJS.Timeout[];

  constructor(signal: AbortSignal, patience: Patience, silent: () => void) {
    this.#patience = patience;
    this.signal = AbortSignal.any([signal, this.#controller.signal]);
    this.#silent = silent;
    this.#timers = [setTimeout(() => this.#controller.abort(), patience.first)];
  }

  fed(): void {
    this.stop();
    this.wasSilent = false;
    this.#timers = [
      setTimeout(() => {
        this.wasSilent = true;
        this.#silent();
      }, this.#patience.next),
      setTimeout(() => this.#controller.abort(), this.#patience.last),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

function asCommandError(error: unknown, { shown }: Address): CommandError {
  return error instanceof CommandError ? error : new CommandError(`${shown}: ${messageOf(error)}`, { cause: error });
}

function messageOf(error: unknown): string {
  if (error instanceof LinkError) return error.message;
  return error instanceof NoReportError ? `it is no inspector: ${error.message}` : reasonOf(error);
}
