import { median, warmUp, window } from './invariants/memory.ts';
import { type Invariant, invariants } from './invariants/violation.ts';
import type { Figures } from './messages.ts';
import type { Soak } from './soak.ts';

type Counted =
  | 'operations'
  | 'commits'
  | 'rollbacks'
  | 'aborts'
  | 'timeouts'
  | 'leaks'
  | 'audits'
  | 'quietPoints'
  | 'hitches';

/** All workers together. */
export class Summary {
  readonly #soak: Soak;

  constructor(soak: Soak) {
    this.#soak = soak;
  }

  get #figures(): readonly Figures[] {
    return this.#soak.children.flatMap(({ figures }) => figures ?? []);
  }

  sum(name: Counted): number {
    return this.#figures.reduce((sum, figures) => sum + figures[name], 0);
  }

  worst(name: 'worstStall' | 'worstSleep' | 'worstLateness'): number {
    return Math.max(0, ...this.#figures.map((figures) => figures[name]));
  }

  /** Of the workers that run now: the largest. */
  largest(name: 'heap' | 'descriptors'): number {
    return Math.max(0, ...[...this.#soak.present.values()].map(({ figures }) => figures?.[name] ?? 0));
  }

  checks(invariant: Invariant): number {
    const own = this.#soak.checks[invariant] ?? 0;
    return this.#figures.reduce((sum, { checks }) => sum + (checks[invariant] ?? 0), own);
  }

  /** Errors that were met, by kind of operation and code. */
  errors(): Record<string, number> {
    const all: Record<string, number> = {};
    for (const { errors } of this.#figures)
      for (const [key, count] of Object.entries(errors)) all[key] = (all[key] ?? 0) + count;
    return all;
  }

  /** Memory of the worker with the most quiet points. */
  memory() {
    const looks = this.#soak.past.flatMap(({ memory, name }) => (memory === undefined ? [] : [{ ...memory, name }]));
    const [longest] = looks.toSorted((a, b) => b.heaps.length - a.heaps.length);
    if (longest === undefined) return undefined;
    const { name, heaps, descriptors } = longest;
    return { name, looks: heaps.length, heap: ends(heaps), descriptors: ends(descriptors), heaps };
  }

  line(): string {
    const { secondsLeft, kills } = this.#soak;
    return [
      `${secondsLeft.toFixed()} s left`,
      `${this.sum('operations')} operations`,
      `${this.sum('commits')} commits`,
      `${this.sum('rollbacks')} rollbacks`,
      `${this.sum('aborts')} aborts`,
      `${this.sum('timeouts')} timeouts`,
      `${kills} kills`,
      `stall ${this.worst('worstStall').toFixed()} ms`,
      `heap ${megabytes(this.largest('heap'))}`,
      `${this.largest('descriptors')} descriptors`,
    ].join(' · ');
  }

  table(): string {
    const memory = this.memory();
    const notes: Partial<Record<Invariant, string>> = {
      money: `${this.sum('audits')} audits`,
      durability: `${this.sum('commits')} commits and ${this.sum('rollbacks')} rollbacks told, ${this.#soak.kills} kills`,
      slots: `${this.sum('quietPoints')} quiet points, ${this.sum('leaks')} leaks recovered`,
      deadlines: `${this.sum('timeouts')} timeouts, worst lateness ${this.worst('worstLateness').toFixed()} ms`,
      stalls: `worst stall ${this.worst('worstStall').toFixed()} ms, asleep ${this.worst('worstSleep').toFixed()} ms; ${this.sum('hitches')} calls held up by disk or machine`,
      ...(memory && {
        memory: `${memory.name}, ${memory.looks} looks: heap ${megabytes(memory.heap.first)} to ${megabytes(memory.heap.last)}, descriptors ${memory.descriptors.first} to ${memory.descriptors.last}`,
      }),
      errors: `${Object.values(this.errors()).reduce((sum, count) => sum + count, 0)} expected errors of ${Object.keys(this.errors()).length} kinds`,
    };
    const rows = (Object.entries(invariants) as [Invariant, string][]).map(([name, meaning]) => {
      const verdict = this.#soak.violation?.invariant === name ? 'VIOLATED' : 'held';
      return `  ${name.padEnd(11)} ${verdict.padEnd(9)} ${String(this.checks(name)).padStart(8)} checks  ${notes[name] ?? meaning}`;
    });
    return rows.join('\n');
  }

  /** All of it, for a file. */
  json(): object {
    const { options, kills, violation, file, started } = this.#soak;
    const names = Object.keys(invariants) as Invariant[];
    return {
      options,
      file,
      seconds: (performance.now() - started) / 1000,
      kills,
      violation,
      operations: this.sum('operations'),
      commits: this.sum('commits'),
      rollbacks: this.sum('rollbacks'),
      aborts: this.sum('aborts'),
      timeouts: this.sum('timeouts'),
      leaks: this.sum('leaks'),
      audits: this.sum('audits'),
      quietPoints: this.sum('quietPoints'),
      worstStall: this.worst('worstStall'),
      worstSleep: this.worst('worstSleep'),
      worstLateness: this.worst('worstLateness'),
      checks: Object.fromEntries(names.map((name) => [name, this.checks(name)])),
      errors: this.errors(),
      memory: this.memory(),
    };
  }
}

function ends(values: readonly number[]) {
  const settled = values.slice(Math.min(warmUp, values.length - 1));
  return { first: median(settled.slice(0, window)), last: median(settled.slice(-window)) };
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

/** Says every two seconds how far it is: in one line that is written over on a terminal, else in a line each time. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #saidAt = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  say(line: () => string): void {
    const now = performance.now();
    if (now - this.#saidAt < 2000) return;
    this.#saidAt = now;
    this.#stream.write(this.#stream.isTTY ? `\r\u001B[2K${line()}` : `${line()}\n`);
  }

  done(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001B[2K');
  }
}
