import { formatDuration } from '../../wording.ts';
import type { Output } from '../command.ts';
import { cut, visible } from '../text.ts';
import type { Step } from './examination.ts';
import { identifier } from './names.ts';

const phases: Readonly<Record<Step['phase'], string>> = {
  copy: 'Copying',
  pages: 'Pages',
  keys: 'Foreign keys',
  integrity: 'Integrity',
  whole: 'All pages',
};

/** One line on a terminal that is written over and over, and goes when it is over. Nothing where there is no terminal. */
export class Progress {
  readonly #output: Output | undefined;
  readonly #began = performance.now();
  #step: Step | undefined;
  #stepBegan = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(output: Output, env: Readonly<Record<string, string | undefined>>) {
    this.#output = output.isTTY === true && env['TERM'] !== 'dumb' ? output : undefined;
  }

  tell(step: Step): void {
    if (this.#output === undefined) return;
    if (step.name !== this.#step?.name || step.phase !== this.#step?.phase) this.#stepBegan = performance.now();
    this.#step = step;
    // A database that is examined in no time shows no line at all.
    this.#timer ??= setInterval(() => this.#draw(), 100);
  }

  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#output?.write('\r\u001b[2K');
  }

  #draw(): void {
    const step = this.#step;
    if (step === undefined) return;
    const now = performance.now();
    const name = step.name === undefined ? '' : `  ${visible(identifier(step.name))}`;
    const share = `${Math.floor(step.from * 100)} %`.padStart(5);
    const times = `${formatDuration(now - this.#stepBegan)} of ${formatDuration(now - this.#began)}`;
    // The last column is left free: some terminals begin a line after it.
    const line = cut(`${phases[step.phase]}${share}  ${times}${name}`, columnsOf(this.#output) - 1);
    this.#output?.write(`\r\u001b[2K${line}`);
  }
}

/** A terminal that was not told its size says that it has none. */
export function columnsOf(output: Output | undefined): number {
  const columns = output?.columns ?? 0;
  return columns > 0 ? columns : 80;
}
