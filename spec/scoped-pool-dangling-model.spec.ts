import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import type { PoolEvents } from '../lib/events.ts';
import type { ScopeRef } from '../lib/holder.ts';
import { poolSettings } from '../lib/options.ts';
import { ScopedPool } from '../lib/scoped-pool.ts';
import { type FakeConnection, FakeDriver, type FakeHandle } from './support/driver.ts';
import { type Gate, gate, settled } from './support/gate.ts';

type Step =
  | { readonly do: 'bind' | 'acquire' | 'tryAcquire' | 'pause' }
  | { readonly do: 'release'; readonly which: number }
  | { readonly do: 'closeOverdue'; readonly age: number }
  | Branch;

/** A function that runs in a scope of its own, or in that around it. */
interface Branch {
  readonly do: 'withScope' | 'withConnection';
  readonly fresh: boolean;
  readonly awaited: boolean;
  readonly throws: boolean;
  readonly steps: readonly Step[];
}

/** A scope as it should be. */
interface Scope {
  readonly label: string;
  /** The scope around it, until its end or until that of the scope around. */
  parent: Scope | undefined;
  /** The scope it was opened in. */
  readonly origin: Scope | undefined;
  ended: boolean;
  own: Held | undefined;
  ref: ScopeRef | undefined;
}

/** A lease as it should be. */
interface Held {
  readonly id: number;
  readonly label: string | undefined;
  readonly since: number;
  readonly scope: Scope | undefined;
  readonly handle: FakeHandle;
}

class Thrown extends Error {}

/** Scopes that open and end in whatever order, beside what is known of them from outside. */
class Model {
  readonly driver = new FakeDriver();
  readonly clock = this.driver.clock;
  readonly pool: ScopedPool<FakeConnection, FakeHandle>;
  /** Whether each scope gives back all that it took in it. */
  readonly #tidy: boolean;
  readonly #held = new Set<Held>();
  readonly #scopes: Scope[] = [];
  /** Where branches stand still. */
  readonly #parked: Gate[] = [];
  /** Branches that run now. One at a time, but for those that begin. */
  #running = 0;
  #acquires = 0;
  readonly #dirt = new Map<string, Pick<PoolEvents['dirty'], 'lease' | 'traces'>>();
  readonly #expected = new Map<string, Pick<PoolEvents['dirty'], 'lease' | 'traces'>>();

  constructor(tidy: boolean) {
    this.#tidy = tidy;
    this.pool = new ScopedPool(this.driver, poolSettings({ max: 1000 }, { name: 'model', max: 1 }), {}, this.clock);
    this.pool.on('dirty', ({ label = '', lease, traces }) => {
      assert.ok(!this.#dirt.has(label), 'two events of one scope');
      this.#dirt.set(label, { lease, traces });
    });
  }

  async run(root: Branch, order: readonly number[]): Promise<void> {
    const done = this.#branch({ ...root, awaited: false }, undefined);
    for (let turn = 0; ; turn++) {
      do await settled();
      while (this.#running > 0);
      this.check();
      const [next] = this.#parked.splice((order[turn % order.length] ?? 0) % Math.max(this.#parked.length, 1), 1);
      if (next === undefined) break;
      this.clock.skip(1);
      this.#running++;
      next.open();
    }
    await done;
    assert.equal(this.#scopes.filter(({ ended }) => !ended).length, 0);
    if (this.#tidy) assert.equal(this.pool.stats().counters.dirty, 0);
    for (const held of this.#held) this.#giveBack(held);
    this.check();
    for (const { ref } of this.#scopes) assert.equal(ref?.open ?? 0, 0, 'something counts as open for ever');
    this.pool.assertIdle();
    await this.pool.close();
    assert.deepEqual(this.driver.faults, []);
  }

  check(): void {
    assert.deepEqual(this.#dirt, this.#expected);
    assert.equal(this.pool.stats().counters.dirty, this.#expected.size);
    assert.deepEqual(
      this.pool.leases().map(({ id }) => id),
      [...this.#held].map(({ id }) => id).toSorted((a, b) => a - b),
    );
    for (const scope of this.#scopes) {
      if (scope.ref === undefined) continue;
      const leases = [...this.#held].filter((held) => held.scope === scope).length;
      const within = this.#scopes.filter((inner) => inner.origin === scope && !inner.ended).length;
      assert.equal(scope.ref.open, leases + within, `open in ${scope.label}`);
    }
  }

  /** Runs a branch; it ends when it is at its end, or at once where nobody waits for it. */
  async #branch(branch: Branch, around: Scope | undefined): Promise<void> {
    const { pool } = this;
    const outer = around?.ended === false ? around : undefined;
    const shares = outer !== undefined && !branch.fresh && (branch.do === 'withScope' || this.#isHeld(outer.own));
    const body = async (scope: Scope | undefined): Promise<void> => {
      if (!branch.awaited) {
        this.#running--;
        await this.#pause();
      }
      for (const step of branch.steps) await this.#step(step, scope);
      if (scope !== undefined && !shares) this.#end(scope);
      if (branch.throws) throw new Thrown();
    };
    const open = (handle?: FakeHandle): Scope | undefined => {
      if (shares) return around;
      const scope = this.#open(label, outer);
      if (handle !== undefined) this.#bind(scope, handle);
      return scope;
    };
    const label = `s${this.#scopes.length + 1}`;
    const options = { label, fresh: branch.fresh };
    this.#running++;
    const running =
      branch.do === 'withScope'
        ? pool.withScope(() => body(open()), options)
        : pool.withConnection((handle) => body(open(handle)), options);
    const ended = running.then(
      () => assert.ok(!branch.throws),
      (error: unknown) => {
        if (!(error instanceof Thrown) || !branch.throws) throw error;
      },
    );
    await ended;
    this.#running--;
  }

  async #step(step: Step, scope: Scope | undefined): Promise<void> {
    const { pool, clock } = this;
    const live = scope?.ended === false ? scope : undefined;
    switch (step.do) {
      case 'pause':
        this.#running--;
        return this.#pause();
      case 'acquire':
      case 'tryAcquire': {
        const label = `a${++this.#acquires}`;
        const handle = step.do === 'acquire' ? await pool.acquire({ label }) : pool.tryAcquire({ label });
        assert.ok(handle !== undefined);
        this.#hold(handle, live, label);
        return;
      }
      case 'bind': {
        if (live === undefined) {
          const code = scope === undefined ? 'ERR_LEASEHOLD_NO_SCOPE' : 'ERR_LEASEHOLD_SCOPE_ENDED';
          return assert.rejects(pool.connection(), { code });
        }
        const handle = await pool.connection();
        if (this.#isHeld(live.own)) assert.equal(handle, live.own?.handle);
        else this.#bind(live, handle);
        return;
      }
      case 'release': {
        const mine = [...this.#held].filter((held) => !this.#tidy || (live !== undefined && held.scope === live));
        const held = mine[step.which % mine.length];
        return held && this.#giveBack(held);
      }
      case 'closeOverdue': {
        const old = [...this.#held].filter(({ since }) => clock.now() - since >= step.age);
        for (const held of old) this.#held.delete(held);
        assert.equal(pool.closeOverdue(step.age), old.length);
        return;
      }
      case 'withScope':
      case 'withConnection': {
        const branch = this.#tidy ? { ...step, awaited: true } : step;
        const running = this.#branch(branch, scope);
        // It runs until it stands still or is at its end, and so does nothing beside the steps that follow.
        if (!branch.awaited) return settled();
        this.#running--;
        await running;
        this.#running++;
      }
    }
  }

  async #pause(): Promise<void> {
    const here = gate();
    this.#parked.push(here);
    await here.passed;
  }

  #open(label: string, parent: Scope | undefined): Scope {
    const scope: Scope = { label, parent, origin: parent, ended: false, own: undefined, ref: undefined };
    this.#scopes.push(scope);
    return scope;
  }

  #bind(scope: Scope, handle: FakeHandle): void {
    scope.own = this.#hold(handle, scope, scope.label);
  }

  #hold(handle: FakeHandle, scope: Scope | undefined, label: string | undefined): Held {
    const { id } = handle.lease.describe();
    const held: Held = { id, label, since: this.clock.now(), scope, handle };
    this.#held.add(held);
    if (scope !== undefined) scope.ref = handle.lease.scope;
    return held;
  }

  #giveBack(held: Held): void {
    this.#held.delete(held);
    void held.handle.release();
  }

  #isHeld(held: Held | undefined): boolean {
    return held !== undefined && this.#held.has(held);
  }

  #end(scope: Scope): void {
    const isIn = (held: Held): boolean => {
      for (let around = held.scope; around !== undefined; around = around.parent) if (around === scope) return true;
      return false;
    };
    const own = this.#isHeld(scope.own) ? scope.own : undefined;
    const within = [...this.#held].filter((held) => held !== own && isIn(held));
    if (this.#tidy) for (const held of within) this.#giveBack(held);
    else if (within.length > 0) {
      const oldestFirst = within.toSorted((a, b) => a.since - b.since || a.id - b.id);
      const traces = oldestFirst.map(({ id, label }) => `lease #${id} "${label}"`);
      this.#expected.set(scope.label, { lease: own?.id, traces });
    }
    if (own !== undefined) this.#held.delete(own);
    scope.ended = true;
    scope.parent = undefined;
  }
}

const { branch } = fc.letrec<{ branch: Branch; step: Step }>((tie) => ({
  branch: fc.record({
    do: fc.constantFrom('withScope' as const, 'withConnection' as const),
    fresh: fc.boolean(),
    awaited: fc.boolean(),
    throws: fc.boolean(),
    steps: fc.array(tie('step'), { maxLength: 6, depthIdentifier: 'branch' }),
  }),
  step: fc.oneof(
    { depthIdentifier: 'branch', maxDepth: 5, withCrossShrink: true },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('bind', 'acquire', 'tryAcquire', 'pause', 'pause') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('release'), which: fc.nat({ max: 10 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('closeOverdue'), age: fc.nat({ max: 8 }) }) },
    { weight: 4, arbitrary: tie('branch') },
  ) as fc.Arbitrary<Step>,
}));
const order = fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 30 });

for (const tidy of [false, true]) {
  const title = tidy
    ? 'no scope is dirty that awaits all work and gives back what it took'
    : 'whatever scopes begin and leave, each names at its end exactly what is held within it still';
  test(title, async (t) => {
    let reports = 0;
    await fc.assert(
      fc.asyncProperty(branch, order, async (root, turns) => {
        const model = new Model(tidy);
        await model.run(root, turns);
        reports += model.pool.stats().counters.dirty;
      }),
      { numRuns: 500, includeErrorInReport: true },
    );
    t.is(reports === 0, tidy, `${reports} reports`);
  });
}
