import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, Order } from './postgres-watchdog.ts';

const program = fileURLToPath(new URL(`postgres-watchdog${extname(import.meta.url)}`, import.meta.url));

type Unnumbered<Of> = Of extends unknown ? Omit<Of, 'id'> : never;

/** The process that runs a server, and removes its directory when this one ends. */
export class Watchdog {
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #lastId = 0;

  constructor(directory: string) {
    // A group of its own: an interrupt from the keyboard is for the tests, and the end of those is for it.
    this.#process = fork(program, [directory], {
      detached: true,
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#exit = once(this.#process, 'exit');
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#process.once('exit', () => {
      for (const id of this.#waiting.keys()) this.#settle({ id, error: 'The process that runs the server has ended.' });
    });
  }

  async ask(order: Unnumbered<Order>): Promise<number | undefined> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    this.#process.send({ ...order, id });
    const { pid, error } = await promise;
    if (error !== undefined) throw new Error(`PostgreSQL did not ${order.type}: ${error}`);
    return pid;
  }

  async close(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#exit;
  }

  #settle(answer: Answer): void {
    this.#waiting.get(answer.id)?.(answer);
    this.#waiting.delete(answer.id);
  }
}
