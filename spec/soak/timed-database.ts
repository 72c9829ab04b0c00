import Database from 'better-sqlite3';
import type { SlowCall } from './invariants/stalls.ts';
import { longestSleep } from './invariants/stalls.ts';
import { sleepOf, type ThreadClock, type ThreadTimes } from './loop-watch.ts';

/** A `Database` class that reports each call which keeps the thread for long, and what the thread did in it. */
export function timedClass(clock: ThreadClock, onSlow: (call: SlowCall) => void): typeof Database {
  type Ask = () => number | undefined;
  const report = (sql: string, start: number, before: ThreadTimes, busyTimeout: Ask): void => {
    const took = performance.now() - start;
    if (took <= longestSleep) return;
    const after = clock.read();
    const turns = after.turns - before.turns;
    onSlow({ sql, took, asleep: sleepOf(took, before, after), turns, busyTimeout: busyTimeout() });
  };
  const timed = <Result>(sql: string, busyTimeout: Ask, call: () => Result): Result => {
    const before = clock.read();
    const start = performance.now();
    try {
      return call();
    } finally {
      report(sql, start, before, busyTimeout);
    }
  };

  class TimedDatabase extends Database {
    constructor(file: string, options?: Database.Options) {
      const before = clock.read();
      const start = performance.now();
      super(file, options);
      report('(open)', start, before, () => options?.timeout);
    }

    override prepare(sql: string): never {
      const statement = timed(
        `(prepare) ${sql}`,
        () => this.#busyTimeout(),
        () => super.prepare(sql),
      );
      for (const method of ['run', 'get', 'all'] as const) {
        const native = statement[method];
        statement[method] = (...params: unknown[]): never =>
          timed(
            sql,
            () => this.#busyTimeout(),
            () => native.apply(statement, params),
          ) as never;
      }
      return statement as never;
    }

    override exec(sql: string): this {
      return timed(
        sql,
        () => this.#busyTimeout(),
        () => super.exec(sql),
      );
    }

    override pragma(source: string, options?: Database.PragmaOptions): unknown {
      return timed(
        `PRAGMA ${source}`,
        () => this.#busyTimeout(),
        () => super.pragma(source, options),
      );
    }

    override close(): this {
      // By then it can not be asked any more.
      return timed(
        '(close)',
        () => 0,
        () => super.close(),
      );
    }

    #busyTimeout(): number | undefined {
      try {
        return Number(super.pragma('busy_timeout', { simple: true }));
      } catch {
        // Closed, or an iterator is open on it.
        return undefined;
      }
    }
  }
  return TimedDatabase as unknown as typeof Database;
}
