import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import { systemClock } from '../../lib/clock.ts';
import type { LeasedDatabase } from '../../lib/index.ts';
import { Monitor } from '../../lib/inspector/monitor.ts';
import type { Report } from '../../lib/inspector/wire.ts';
import { SqlitePool } from '../../lib/sqlite/pool.ts';
import { FakeClock } from '../support/clock.ts';
import { temporaryFile } from '../support/files.ts';
import { settled } from '../support/gate.ts';
import { Reader } from './support/reader.ts';

// Whatever is done with a pool, what is told of it comes out even with what it counts itself.

type Action =
  | { readonly do: 'acquire'; readonly label: string | undefined; readonly write: boolean; readonly timeout: number }
  | { readonly do: 'release' | 'discard' | 'begin' | 'commit'; readonly which: number }
  | { readonly do: 'transaction' | 'read' | 'scope'; readonly label: string | undefined; readonly time: number }
  | { readonly do: 'run' | 'poll' | 'tick' | 'drain' }
  | { readonly do: 'pass' | 'skip' | 'closeOverdue'; readonly time: number }
  | { readonly do: 'resize'; readonly max: number };

const label = fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined });
const time = fc.nat(300);
const which = fc.nat(20);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('acquire' as const), label, write: fc.boolean(), timeout: time }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'begin', 'commit'), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('transaction' as const, 'read', 'scope'), label, time }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('run' as const, 'poll', 'tick') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('pass' as const, 'skip'), time }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('closeOverdue' as const), time }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), max: fc.integer({ min: 1, max: 4 }) }) },
);

/** A pool, an inspector of it, and all that the pool says by events. */
class Model {
  readonly pool: SqlitePool;
  readonly monitor: Monitor;
  readonly reader = new Reader();
  readonly #clock: FakeClock | undefined;
  readonly #released = new Map<number, { readonly label: string | undefined; readonly held: number }>();
  readonly #waited = new Map<number, number>();
  readonly #handles: LeasedDatabase[] = [];
  readonly #work: Promise<unknown>[] = [];
  /** What has been found at a tick. */
  #fault: Error | undefined;
  /** Of before the inspector. */
  readonly #before: { readonly acquired: number; readonly released: number };

  constructor(file: string, clock: FakeClock | undefined, hooks: boolean) {
    this.#clock = clock;
    let refuse = 0;
    const refusing = { onAcquire: () => ++refuse % 7 !== 0 };
    this.pool = new SqlitePool(file, { max: 3, acquireTimeout: 400, ...(hooks && refusing) }, clock ?? systemClock);
    this.pool.on('acquire', ({ lease, waited }) => this.#waited.set(lease, waited));
    this.pool.on('release', ({ lease, label: last, held }) => this.#released.set(lease, { label: last, held }));
    this.#before = this.pool.stats().counters;
    this.monitor = new Monitor([this.pool], false, clock ?? systemClock);
    this.read();
    this.monitor.subscribe(() => this.#ticked());
  }

  /** At the end of a tick, and only then, all that the pool has counted has been told. */
  #ticked(): void {
    try {
      this.read();
      const { acquired, released } = this.pool.stats().counters;
      const since = { acquired: acquired - this.#before.acquired, released: released - this.#before.released };
      assert.deepEqual(this.reader.sums(), since);
    } catch (error) {
      this.#fault ??= error as Error;
    }
  }

  read(): void {
    this.reader.apply(JSON.parse(this.monitor.report(this.reader.place.after)) as Report);
    const { leased, idle, size, waiting } = this.pool.stats();
    const { leased: told, ...state } = this.reader.state();
    assert.deepEqual([told, state.idle, state.size, state.waiting], [leased, idle, size, waiting]);
    const { acquired = 0, released = 0 } = state.counters;
    assert.equal(acquired - released, leased);
  }

  #handle(index: number): LeasedDatabase | undefined {
    return this.#handles[index % Math.max(this.#handles.length, 1)];
  }

  async #time(duration: number): Promise<void> {
    if (this.#clock !== undefined) return this.#clock.skip(duration);
    await settled();
  }

  async act(step: Action): Promise<void> {
    const { pool } = this;
    // Refusals and ended leases are part of the game.
    const attempt = (work: () => unknown): void => {
      this.#work.push((async () => work())().catch(() => {}));
    };
    switch (step.do) {
      case 'acquire':
        return attempt(async () => {
          const { write, timeout } = step;
          const db = await pool.acquire({ write, timeout: timeout + 1, ...(step.label && { label: step.label }) });
          this.#handles.push(db);
        });
      case 'release':
        return attempt(() => this.#handle(step.which)?.close());
      case 'discard':
        return attempt(() => this.#handle(step.which)?.discard('model'));
      case 'begin':
        return attempt(() => this.#handle(step.which)?.exec('BEGIN IMMEDIATE'));
      case 'commit':
        return attempt(() => this.#handle(step.which)?.exec('COMMIT'));
      case 'transaction':
        return attempt(() =>
          pool.transaction(() => pool.transaction(() => this.#time(step.time)), {
            ...(step.label && { label: step.label }),
          }),
        );
      case 'read':
        return attempt(() => pool.read(() => this.#time(step.time), { ...(step.label && { label: step.label }) }));
      case 'scope':
        return attempt(() =>
          pool.withScope(
            async () => {
              await pool.connection();
              await pool.read(() => this.#time(step.time));
              await pool.transaction(() => this.#time(1));
            },
            { ...(step.label && { label: step.label }) },
          ),
        );
      case 'run':
        return attempt(() => pool.run('CREATE TABLE IF NOT EXISTS item (name)'));
      case 'poll':
        return this.read();
      case 'tick':
        await this.#clock?.pass(500);
        return this.read();
      case 'pass':
        return this.#clock?.pass(step.time);
      case 'skip':
        return this.#clock?.skip(step.time);
      case 'closeOverdue':
        pool.closeOverdue(step.time);
        return undefined;
      case 'drain':
        return attempt(() => pool.drain());
      case 'resize':
        return pool.resize({ max: step.max });
    }
  }

  /** Ends all, and compares. */
  async check(): Promise<void> {
    for (const db of this.#handles) if (db.open) db.close();
    await this.#clock?.pass(1000);
    await Promise.all(this.#work);
    for (const db of this.#handles) if (db.open) db.close();
    await this.pool.close();
    this.read();
    if (this.#fault !== undefined) throw this.#fault;
    const { reader, pool } = this;
    const { acquired, released } = pool.stats().counters;
    assert.ok(reader.state().closed);
    assert.deepEqual(reader.sums(), {
      acquired: acquired - this.#before.acquired,
      released: released - this.#before.released,
    });
    assert.equal(acquired, released);
    assert.deepEqual(reader.state().holders, []);
    // Whatever was told whole is what the pool itself told.
    for (const { lease, label: told, from, to, waited } of reader.bars()) {
      const own = this.#released.get(lease);
      assert.ok(own !== undefined && Math.abs(to - from - own.held) < 0.02, `held by ${lease}`);
      assert.equal(told, own.label);
      assert.ok(Math.abs(waited - (this.#waited.get(lease) ?? -1)) < 0.02, `waited for ${lease}`);
    }
    const all = [...this.#released.values()].reduce((sum, { held }) => sum + held, 0);
    const bars = reader.bars().reduce((sum, { from, to }) => sum + to - from, 0);
    const rest = reader.rest().reduce((sum, { held }) => sum + held, 0);
    assert.ok(Math.abs(all - bars - rest) < 0.02 * (1 + this.#released.size), `held in all: ${all}, ${bars + rest}`);
  }
}

test('whatever is done with a pool, each lease is told once, and sums are those of the pool itself', async (t) => {
  const property = fc.asyncProperty(fc.array(action, { maxLength: 40 }), fc.boolean(), async (actions, hooks) => {
    const model = new Model(temporaryFile(t), new FakeClock(), hooks);
    for (const each of actions) {
      await model.act(each);
      await settled();
    }
    await model.check();
  });
  await t.notThrowsAsync(async () =>
    fc.assert(property, { numRuns: 60, interruptAfterTimeLimit: 20_000, includeErrorInReport: true }),
  );
});

test('the same by the clock of the system', async (t) => {
  const property = fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
    const model = new Model(temporaryFile(t), undefined, false);
    for (const each of actions) await model.act(each);
    await model.check();
  });
  await t.notThrowsAsync(async () =>
    fc.assert(property, { numRuns: 15, interruptAfterTimeLimit: 20_000, includeErrorInReport: true }),
  );
});
