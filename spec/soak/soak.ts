import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { filesBeside, foundBank, integrityFaults, lookAt, moneyFaults, transfersOf } from './bank.ts';
import { Child, longestSilence } from './child.ts';
import { memoryFaults } from './invariants/memory.ts';
import type { Invariant, Violation } from './invariants/violation.ts';
import type { SoakOptions } from './options.ts';
import { Random } from './random.ts';

const tick = 100;
/** How long workers may take to finish what they have begun. Milliseconds. */
const longestFarewell = 30_000;

/** A soak under way: worker processes on one file, of which one is killed from time to time. */
export class Soak {
  readonly options: SoakOptions;
  readonly file: string;
  readonly started = performance.now();
  /** Processes that are over, in order, and those that run now, by worker. */
  readonly past: Child[] = [];
  readonly present = new Map<number, Child>();
  kills = 0;
  violation: Violation | undefined;
  /** Checks that the parent has done itself. */
  readonly checks: Partial<Record<Invariant, number>> = {};
  readonly #folder: string | undefined;
  readonly #ending = new AbortController();

  /** Makes the database. */
  constructor(options: SoakOptions) {
    this.options = options;
    this.#folder = options.file === undefined ? mkdtempSync(join(tmpdir(), 'leasehold-soak-')) : undefined;
    this.file = options.file === undefined ? join(this.#folder ?? '', 'bank.db') : resolve(options.file);
    foundBank(this.file);
  }

  get secondsLeft(): number {
    return Math.max(0, this.options.seconds - (performance.now() - this.started) / 1000);
  }

  get children(): readonly Child[] {
    return [...this.past, ...this.present.values()];
  }

  /** Ends it before its time, in good order. */
  end(): void {
    this.#ending.abort();
  }

  /** Runs until its time is over, it is ended, or something does not hold. */
  async run(onTick: () => void): Promise<void> {
    const { processes, killEvery, seed } = this.options;
    const random = new Random(seed, 0);
    for (let worker = 1; worker <= processes; worker++) this.#start(worker, 1);
    let killAt = performance.now() + killEvery * 1000;
    while (this.secondsLeft > 0 && !this.#ending.signal.aborted && this.violation === undefined) {
      await sleep(Math.min(tick, this.secondsLeft * 1000 + 1), undefined, { signal: this.#ending.signal }).catch(
        () => {},
      );
      this.#watchOver();
      onTick();
      if (killEvery > 0 && performance.now() >= killAt && this.violation === undefined) {
        await this.#killOne(random);
        killAt = performance.now() + killEvery * 1000;
      }
    }
    await this.#finish(onTick);
    if (this.violation === undefined) this.#checkEnd();
    if (this.violation === undefined && this.#folder !== undefined)
      rmSync(this.#folder, { recursive: true, force: true });
  }

  #start(worker: number, incarnation: number): void {
    const { seed, max } = this.options;
    const settings = { file: this.file, seed, worker, incarnation, max };
    const child = new Child(settings, (violation) =>
      this.#violate(violation.invariant, `${child.name}: ${violation.account}`),
    );
    this.present.set(worker, child);
  }

  /** Ends a worker as `kill -9` does, looks at what it leaves, and starts it again. */
  async #killOne(random: Random): Promise<void> {
    const workers = [...this.present.values()].filter(({ settings }) => settings.worker > 1 || this.present.size === 1);
    // On a busy machine one that was killed last may not have begun again.
    const begun = workers.filter(({ figures }) => figures !== undefined && figures.operations > 0);
    const victims = begun.length > 0 ? begun : workers;
    const child = victims[random.integer(0, victims.length - 1)];
    if (child === undefined) return;
    await child.kill();
    this.kills++;
    this.#bury(child);
    this.#checkOutcomes(child);
    if (this.violation === undefined) this.#start(child.settings.worker, child.settings.incarnation + 1);
  }

  #bury(child: Child): void {
    this.present.delete(child.settings.worker);
    this.past.push(child);
    if (child.failure !== undefined) this.#violate('errors', `${child.name} ${child.failure}`);
  }

  #watchOver(): void {
    for (const child of this.present.values()) {
      if (child.hasEnded) this.#bury(child);
      else if (child.silence > longestSilence)
        this.#violate('slots', `${child.name} has said nothing for ${(child.silence / 1000).toFixed()} s`);
    }
  }

  async #finish(onTick: () => void): Promise<void> {
    const children = [...this.present.values()];
    if (this.violation !== undefined) {
      await Promise.all(children.map((child) => child.kill()));
      for (const child of children) this.#bury(child);
      return;
    }
    for (const child of children) child.stop();
    const late = new AbortController();
    const ticking = setInterval(onTick, tick);
    const farewell = sleep(longestFarewell, 'late', { signal: late.signal }).catch(() => 'in time');
    if ((await Promise.race([Promise.all(children.map(({ gone }) => gone)), farewell])) === 'late') {
      const hanging = children.filter((child) => !child.hasEnded);
      this.#violate('slots', `${hanging.map(({ name }) => name).join(', ')} did not come to an end`);
      await Promise.all(hanging.map((child) => child.kill()));
    }
    late.abort();
    clearInterval(ticking);
    for (const child of children) this.#bury(child);
  }

  #checkEnd(): void {
    this.#check('memory', () => filesBeside(this.file));
    this.#check('integrity', () => lookAt(this.file, integrityFaults));
    this.#check('money', () => lookAt(this.file, moneyFaults));
    for (const child of this.past) {
      this.#checkOutcomes(child);
      const { memory, name } = child;
      if (memory !== undefined)
        this.#check('memory', () => memoryFaults(memory.heaps, memory.descriptors).map((fault) => `${name}: ${fault}`));
    }
  }

  #checkOutcomes({ outcomes, settings: { worker, incarnation }, name }: Child): void {
    this.#check('durability', () =>
      outcomes.faults(transfersOf(this.file, worker, incarnation)).map((fault) => `${name}: ${fault}`),
    );
  }

  #check(invariant: Invariant, look: () => readonly string[]): void {
    this.checks[invariant] = (this.checks[invariant] ?? 0) + 1;
    try {
      const faults = look();
      if (faults.length > 0) this.#violate(invariant, faults.join('; '));
    } catch (error) {
      // A file in ruins can not even be read.
      this.#violate('integrity', `the look at ${invariant} failed: ${String(error)}`);
    }
  }

  /** The first one counts: others may come of it. */
  #violate(invariant: Invariant, account: string): void {
    this.violation ??= { invariant, account };
  }
}
