import process from 'node:process';
import type { Output } from '../command.ts';

const csi = '\u001b[';
// The other screen, no cursor, and a row that is too long is cut and not continued on the next.
const enterSequence = `${csi}?1049h${csi}?25l${csi}?7l`;
const leaveSequence = `${csi}0m${csi}?7h${csi}?25h${csi}?1049l`;
// What a key sends that is not one character, and such a key together with Alt.
const sequences = new RegExp(`${String.fromCharCode(27)}(?:\\[[\\d;<?]*[@-~]|O?.)?`, 'su');
const eraseScreen = `${csi}2J`;

export interface ScreenSize {
  readonly width: number;
  readonly height: number;
}

/** What a user can do with a key. */
export type Key = 'quit' | 'interrupt' | 'abort' | 'suspend' | 'redraw';

const keys: Readonly<Record<string, Key>> = {
  q: 'quit',
  Q: 'quit',
  '\u0003': 'interrupt',
  '\u001c': 'abort',
  '\u001a': 'suspend',
  '\u000c': 'redraw',
};

/**
 * The whole terminal, taken and given back: what was on it before is there again afterwards, however the process ends, except by
 * a signal that nobody can handle.
 */
export class Screen {
  readonly #output: Output;
  readonly #input: NodeJS.ReadStream | undefined;
  readonly #pressed: (key: Key) => void;
  readonly #needed: () => void;
  #isEntered = false;
  /** What the terminal shows, row by row. */
  #shown: readonly string[] | undefined;

  /**
   * @param pressed a key was
   * @param needed another picture is: the terminal has another size, or what was on it is gone
   */
  constructor(output: Output, input: NodeJS.ReadStream | undefined, pressed: (key: Key) => void, needed: () => void) {
    this.#output = output;
    this.#input = input?.isTTY === true ? input : undefined;
    this.#pressed = pressed;
    this.#needed = needed;
  }

  get size(): ScreenSize {
    // A terminal that does not know its size says 0.
    return { width: this.#output.columns || 80, height: this.#output.rows || 24 };
  }

  open(): void {
    this.#output.on?.('resize', this.#lost);
    // The monitor is called before whoever writes the error, which is to be read.
    process.on('uncaughtExceptionMonitor', this.#leave).on('exit', this.#leave);
    if (process.platform !== 'win32') process.on('SIGTSTP', this.#stopped).on('SIGCONT', this.#continued);
    this.#input?.on('data', this.#read).on('error', () => {});
    this.#enter();
  }

  close(): void {
    this.#leave();
    this.#output.off?.('resize', this.#lost);
    process.off('uncaughtExceptionMonitor', this.#leave).off('exit', this.#leave);
    if (process.platform !== 'win32') process.off('SIGTSTP', this.#stopped).off('SIGCONT', this.#continued);
    this.#input?.off('data', this.#read).pause();
  }

  /** Shows these rows, from the top, in one write, or in none if they are there already. */
  draw(rows: readonly string[]): void {
    if (!this.#isEntered) return;
    const { height } = this.size;
    const wanted = rows.slice(0, height);
    const shown = this.#shown ?? [];
    let text = this.#shown === undefined ? eraseScreen : '';
    for (let row = 0; row < Math.max(wanted.length, shown.length); row++) {
      const content = wanted[row] ?? '';
      // Erased first: after a row that is as wide as the screen the cursor is on its last column.
      if (content !== (shown[row] ?? '')) text += `${csi}${row + 1};1H${csi}2K${content}`;
    }
    this.#shown = wanted;
    if (text !== '') this.#output.write(text);
  }

  readonly #stopped = (): void => this.#suspend(process.pid);

  /** Gives the terminal back, and stops the process, or a group of them for 0, until somebody lets it go on. */
  #suspend(whom: number): void {
    if (process.platform === 'win32' || !this.#isEntered) return;
    this.#leave();
    process.off('SIGTSTP', this.#stopped);
    process.kill(whom, 'SIGTSTP');
    // Here it goes on. At once where there is no shell that could let it go on: the system then does not stop it either.
    setTimeout(() => {
      process.on('SIGTSTP', this.#stopped);
      this.#continued();
    }, 20);
  }

  // Whoever stopped it may have used the terminal meanwhile, and set it otherwise.
  readonly #continued = (): void => {
    this.#isEntered = false;
    this.#enter();
    this.#lost();
  };

  readonly #lost = (): void => {
    this.#shown = undefined;
    this.#needed();
  };

  #enter(): void {
    this.#isEntered = true;
    this.#shown = undefined;
    this.#input?.setRawMode(true).resume();
    this.#output.write(enterSequence);
  }

  readonly #leave = (): void => {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    try {
      this.#input?.setRawMode(false);
      this.#output.write(leaveSequence);
    } catch {
      // The terminal is gone.
    }
  };

  readonly #read = (data: Buffer | string): void => {
    // An arrow and its like begin with an escape, and have letters in them.
    for (const char of data.toString().split(sequences).join('')) {
      const key = keys[char];
      // As the terminal itself does it: a shell has its prompt back once all that it has started for the line are stopped, such as npx.
      if (key === 'suspend') this.#suspend(0);
      else if (key === 'redraw') this.#lost();
      else if (key !== undefined) this.#pressed(key);
    }
  };
}
