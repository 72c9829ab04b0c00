import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Outcomes } from './invariants/durability.ts';
import type { Violation } from './invariants/violation.ts';
import type { Figures, FromWorker, ToWorker, WorkerSettings } from './messages.ts';

/** How long a worker may say nothing. Milliseconds. It tells its figures twice a second. */
export const longestSilence = 20_000;

// As in the configuration of ava.
const compileCache = fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url));

const program = fileURLToPath(new URL(`worker${extname(import.meta.url)}`, import.meta.url));

/** One worker process, as its parent sees it. */
export class Child {
  readonly settings: WorkerSettings;
  readonly outcomes = new Outcomes();
  figures: Figures | undefined;
  memory: { readonly heaps: readonly number[]; readonly descriptors: readonly number[] } | undefined;
  /** How it ended: by `kill`, as it was told, or by itself. */
  isKilled = false;
  readonly gone: Promise<void>;
  readonly #process: ChildProcess;
  #heardAt = performance.now();

  constructor(settings: WorkerSettings, onViolation: (violation: Violation) => void) {
    this.settings = settings;
    this.#process = fork(program, [JSON.stringify(settings)], {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A worker is started again and again, and would strip the types of the whole library each time.
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env },
    });
    this.#process.on('message', (message: FromWorker) => {
      this.#heardAt = performance.now();
      if (message.type === 'outcome') this.outcomes.tell(message.numbers, message.kept);
      else if (message.type === 'figures') this.figures = message.figures;
      else if (message.type === 'done') this.memory = message.memory;
      else onViolation(message.violation);
    });
    // It may be killed with a message on its way.
    this.#process.on('error', () => {});
    // All it has told has been heard by the time its channel is closed, which may be after its end.
    const told = once(this.#process, 'disconnect');
    this.gone = Promise.all([once(this.#process, 'exit'), told]).then(() => {});
  }

  get name(): string {
    return `worker ${this.settings.worker}.${this.settings.incarnation}`;
  }

  get silence(): number {
    return performance.now() - this.#heardAt;
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** How it ended, in words; `undefined` where that was well. */
  get failure(): string | undefined {
    const { exitCode, signalCode } = this.#process;
    if (this.isKilled || !this.hasEnded) return undefined;
    if (signalCode !== null) return `ended by ${signalCode}`;
    if (exitCode !== 0) return `ended with exit code ${exitCode}`;
    return this.memory === undefined ? 'ended before it was told to' : undefined;
  }

  stop(): void {
    const message: ToWorker = { type: 'stop' };
    if (this.#process.connected) this.#process.send(message, () => {});
  }

  async kill(): Promise<void> {
    this.isKilled = true;
    this.#process.kill('SIGKILL');
    await this.gone;
  }
}
