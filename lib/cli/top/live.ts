import { constants } from 'node:os';
import type { Paint } from '../colours.ts';
import type { Io } from '../command.ts';
import type { Row } from './glyphs.ts';
import { paintScreenRow } from './layout.ts';
import { type Key, Screen, type ScreenSize } from './screen.ts';

export interface LiveOptions {
  readonly paint: Paint;
  /** Shortest time between two pictures, but for one after a change of size. */
  readonly interval: number;
  /** Instead of the height of the terminal. */
  readonly lines: number | undefined;
  picture(size: ScreenSize): Row[];
}

/** Something that goes on and tells when it has changed, until the signal is aborted. */
export type Subject = (changed: () => void, signal: AbortSignal) => Promise<void>;

const exitCodes: Readonly<Partial<Record<Key, number>>> = {
  quit: 0,
  interrupt: 128 + constants.signals.SIGINT,
  abort: 128 + constants.signals.SIGQUIT,
};

/** Shows pictures of the subject on the whole terminal until a key, the signal or a failure of the subject ends it. */
export async function showLive(subject: Subject, options: LiveOptions, io: Io): Promise<number> {
  const ended = Promise.withResolvers<number>();
  const over = new AbortController();
  const signal = AbortSignal.any([io.signal, over.signal]);
  const pictures = new Pictures(options, io, (key) => {
    const code = exitCodes[key];
    if (code !== undefined) ended.resolve(code);
  });
  pictures.failed.catch(ended.reject);
  signal.addEventListener('abort', () => ended.resolve(0));
  if (signal.aborted) return 0;
  try {
    const going = subject(() => pictures.changed(), signal);
    // It only ends by itself when it fails.
    going.then(() => ended.resolve(0), ended.reject);
    return await ended.promise;
  } finally {
    over.abort();
    pictures.end();
  }
}

/** Draws what has changed, no more often than is asked for. */
class Pictures {
  readonly #failure = Promise.withResolvers<never>();
  readonly #options: LiveOptions;
  readonly #screen: Screen;
  #isOpen = false;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LiveOptions, io: Io, pressed: (key: Key) => void) {
    this.#options = options;
    this.#screen = new Screen(io.stdout, io.stdin, pressed, () => this.#draw());
  }

  /** Rejects when a picture can not be drawn. */
  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  changed(): void {
    if (this.#timer !== undefined) return;
    const wait = this.#drawnAt + this.#options.interval - performance.now();
    if (wait <= 0) this.#draw();
    // Reports come as often as pictures do: one that is early by a few milliseconds is not to be shown a whole interval late.
    else this.#timer = setTimeout(() => this.#draw(), wait);
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#isOpen) this.#screen.close();
    this.#isOpen = false;
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      // The terminal is left alone until there is something to show: what fails before is told where it was started.
      if (!this.#isOpen) {
        this.#isOpen = true;
        this.#screen.open();
      }
      this.#drawnAt = performance.now();
      const { width, height } = this.#screen.size;
      const size = { width, height: Math.min(height, this.#options.lines ?? height) };
      this.#screen.draw(this.#options.picture(size).map((row) => paintScreenRow(row, width, this.#options.paint)));
    } catch (error) {
      this.#failure.reject(error);
    }
  }
}
