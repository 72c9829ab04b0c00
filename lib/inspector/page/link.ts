import type { Report } from '../wire.ts';
import { dataAddress } from './address.ts';
import { read } from './store.ts';

/** How data come, or why they do not. */
export type LinkState =
  | { readonly kind: 'connecting' | 'live' | 'polling' }
  /** Nothing more is to be expected until somebody does something: the words say what. */
  | { readonly kind: 'refused'; readonly words: string }
  | { readonly kind: 'failing'; readonly words: string };

export interface Feed {
  close(): void;
}

/** What of a browser is needed. */
export interface Surroundings {
  /** Opens the stream of events; `final` says that it will not try again itself. */
  open(address: string, message: (data: string) => void, failure: (final: boolean) => void): Feed;
  get(address: string): Promise<{ readonly status: number; text(): Promise<string> }>;
  /** A timer, and what ends it. */
  after(delay: number, call: () => void): () => void;
}

export interface Reader {
  /** Takes a report, and says after what the next one is to begin; `complete` if something is missing. */
  take(report: Report): void;
  known(): { readonly tick: number; readonly server: string } | undefined;
  state(state: LinkState): void;
}

const pollEvery = 1000;
const pollFailed = 3000;
const retryEvery = 15_000;
// A proxy that collects a response before it passes it on lets no event through, and says nothing.
const patience = 5000;

/** Brings reports: by events while they come, else by asking once a second. */
export class Link {
  readonly #base: string;
  readonly #around: Surroundings;
  readonly #reader: Reader;
  #feed: Feed | undefined;
  #isRunning = false;
  #failures = 0;
  #polling = false;
  #asking = false;
  #timers = new Map<'poll' | 'retry' | 'patience', () => void>();

  constructor(base: string, around: Surroundings, reader: Reader) {
    this.#base = base;
    this.#around = around;
    this.#reader = reader;
  }

  /** Begins, or goes on where it was stopped; nothing where it goes on already. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#failures = 0;
    this.#reader.state({ kind: 'connecting' });
    this.#listen();
  }

  stop(): void {
    this.#unlisten();
    for (const timer of this.#timers.keys()) this.#end(timer);
    this.#polling = false;
    this.#isRunning = false;
  }

  /** Asks for a complete report, once, however often it is asked to. */
  complete(): void {
    void this.#ask(undefined);
  }

  #listen(): void {
    this.#time('patience', patience, () => this.#poll());
    this.#feed = this.#around.open(
      `${this.#base}events`,
      (data) => this.#heard(data),
      (final) => {
        this.#failures++;
        // While it is polled a single attempt is enough: the next one comes in a quarter of a minute.
        if (final || this.#failures >= 2 || this.#polling) this.#poll();
      },
    );
  }

  #unlisten(): void {
    this.#feed?.close();
    this.#feed = undefined;
    this.#end('patience');
  }

  #heard(data: string): void {
    this.#failures = 0;
    this.#time('patience', patience, () => this.#poll());
    this.#polling = false;
    this.#end('poll');
    if (this.#took(data)) this.#reader.state({ kind: 'live' });
  }

  /** Turns to asking, and to trying events again from time to time. */
  #poll(): void {
    this.#unlisten();
    this.#time('retry', retryEvery, () => this.#listen());
    if (this.#polling) return;
    this.#polling = true;
    void this.#round();
  }

  async #round(): Promise<void> {
    const answered = await this.#ask(this.#reader.known());
    if (this.#polling) this.#time('poll', answered ? pollEvery : pollFailed, () => void this.#round());
  }

  async #ask(after: { readonly tick: number; readonly server: string } | undefined): Promise<boolean> {
    if (this.#asking) return true;
    this.#asking = true;
    try {
      const answer = await this.#around.get(dataAddress(this.#base, after));
      const text = await answer.text();
      if (answer.status !== 200) this.#reader.state(refusal(answer.status));
      else if (this.#took(text)) {
        if (this.#polling) this.#reader.state({ kind: 'polling' });
        return true;
      }
    } catch {
      this.#reader.state({ kind: 'failing', words: 'The server does not answer.' });
    } finally {
      this.#asking = false;
    }
    return false;
  }

  #took(text: string): boolean {
    const report = read(parsed(text));
    if (report === 'protocol') {
      this.stop();
      this.#reader.state({
        kind: 'refused',
        words: 'The server tells its data in another version than this page reads. Load the page again.',
      });
    } else if (report === 'unreadable') {
      this.#reader.state({ kind: 'failing', words: 'What the server answers is no report.' });
    } else {
      this.#reader.take(report);
      return true;
    }
    return false;
  }

  #time(timer: 'poll' | 'retry' | 'patience', delay: number, call: () => void): void {
    this.#end(timer);
    this.#timers.set(timer, this.#around.after(delay, call));
  }

  #end(timer: 'poll' | 'retry' | 'patience'): void {
    this.#timers.get(timer)?.();
    this.#timers.delete(timer);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(status: number): LinkState {
  switch (status) {
    case 401:
      return { kind: 'refused', words: 'You are not signed in any more.' };
    case 403:
      return { kind: 'refused', words: 'You may not see this.' };
    case 404:
      return { kind: 'refused', words: 'The inspector is not here any more.' };
    default:
      return { kind: 'failing', words: `The server answers with status ${status}.` };
  }
}
