import assert from 'node:assert/strict';
import test from 'ava';
import * as fc from 'fast-check';
import { poolSettings } from '../../lib/options.ts';
import { ScopedPool } from '../../lib/scoped-pool.ts';
import {
  type Attempt,
  attempt,
  type FakeConnection,
  FakeDriver,
  type FakeHandle,
  TransientError,
} from '../support/driver.ts';
import { settled } from '../support/gate.ts';

interface Setup {
  readonly asynchronous: boolean;
  readonly hooks: 'none' | 'synchronous' | 'asynchronous';
  readonly max: number;
  readonly maxWaiting: number;
  readonly maxUses: number;
  readonly maxLifetime: number;
  readonly order: 'lifo' | 'fifo';
}

type Action =
  | { readonly do: 'acquire'; readonly priority: number; readonly timeout: number }
  | { readonly do: 'release' | 'releaseAgain' | 'soil' | 'discard' | 'abort'; readonly which: number }
  | { readonly do: 'advance' | 'lag' | 'closeOverdue' | 'close'; readonly time: number }
  | { readonly do: 'resize'; readonly max: number }
  | { readonly do: 'opensFail'; readonly how: 'not' | 'for good' | 'for now' }
  | { readonly do: 'closesFail' | 'hooksRefuse'; readonly fail: boolean }
  | { readonly do: 'tryAcquire' | 'drain' | 'closeIdle' };

type Work = 'open' | 'reclaim' | 'close' | 'onAcquire' | 'onRelease';

/** One acquire as the model sees it. */
interface Request {
  readonly label: string;
  readonly priority: number;
  readonly deadline: number;
  readonly controller: AbortController;
  attempt: Attempt | undefined;
}

/**
 * The pool beside what is known of it from outside: who waits in which order, who holds what. Each grant and
 * timeout is checked when it happens, and the whole state whenever nothing is left that a promise could change.
 */
class Model {
  readonly driver = new FakeDriver();
  readonly clock = this.driver.clock;
  readonly pool: ScopedPool<FakeConnection, FakeHandle>;
  readonly requests: Request[] = [];
  /** Those not known to be settled, in order of arrival. */
  #waiting: Request[] = [];
  /** Every handle anybody ever got. */
  readonly #handles: FakeHandle[] = [];
  /** What the driver and the hooks are at. */
  readonly #under: Record<Work, number> = { open: 0, reclaim: 0, close: 0, onAcquire: 0, onRelease: 0 };
  #opensFail: Extract<Action, { do: 'opensFail' }>['how'] = 'not';
  #closesFail = false;
  #hooksRefuse = false;
  /** No more leases at once than this: `max`, or as many as a smaller `max` found. */
  #bound: number;

  constructor({ asynchronous, hooks, ...options }: Setup) {
    this.#bound = options.max;
    this.driver.beforeOpen = this.#working('open', asynchronous, () => {
      if (this.#opensFail === 'for good') throw new Error('gone');
      if (this.#opensFail === 'for now') throw new TransientError('locked');
    });
    this.driver.beforeReclaim = this.#working('reclaim', asynchronous, () => {});
    this.driver.beforeClose = this.#working('close', asynchronous, () => {
      if (this.#closesFail) throw new Error('close');
    });
    const hook = (name: 'onAcquire' | 'onRelease') =>
      this.#working(name, hooks === 'asynchronous', () => !this.#hooksRefuse);
    const both = { onAcquire: hook('onAcquire'), onRelease: hook('onRelease') };
    const settings = poolSettings({ ...options, acquireTimeout: 200 }, { name: 'model', max: options.max });
    this.pool = new ScopedPool(this.driver, settings, hooks === 'none' ? {} : both, this.clock);
    this.pool.on('acquire', ({ label }) => this.#granted(label));
    this.pool.on('timeout', ({ label }) => this.#timedOut(label));
  }

  /** A function that ends with `last`, at once or in 3 ms. */
  #working<Result>(work: Work, asynchronous: boolean, last: () => Result) {
    return (): Result | Promise<Result> => {
      if (!asynchronous) return last();
      this.#under[work]++;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.clock.after(3, resolve);
      return promise.then(() => {
        this.#under[work]--;
        return last();
      });
    };
  }

  get #held(): FakeHandle[] {
    return this.#handles.filter((handle) => !handle.lease.ended);
  }

  #settle(label: string | undefined): void {
    this.#waiting = this.#waiting.filter((request) => request.label !== label);
  }

  #granted(label: string | undefined): void {
    const now = this.clock.now();
    const live = this.#waiting.filter(({ deadline, attempt: known }) => deadline > now && known?.state !== 'refused');
    const first = live.toSorted((a, b) => b.priority - a.priority)[0];
    // Those of tryAcquire have no label, and may only be served where nobody waits.
    assert.equal(label, first?.label, 'served out of turn');
    assert.ok(this.pool.stats().leased <= this.#bound, 'more leases than max');
    this.#settle(label);
  }

  #timedOut(label: string | undefined): void {
    const request = this.#waiting.find((waiting) => waiting.label === label);
    assert.ok(request !== undefined && request.deadline <= this.clock.now(), 'timed out early or twice');
    this.#settle(label);
  }

  /** Whom a failing open refused at once is known by the outcome alone. */
  #dropRefused(): void {
    this.#waiting = this.#waiting.filter((request) => request.attempt?.state !== 'refused');
  }

  #acquire(priority: number, timeout: number): void {
    const controller = new AbortController();
    const label = `${this.requests.length + 1}`;
    const deadline = this.clock.now() + timeout;
    const request: Request = { label, priority, deadline, controller, attempt: undefined };
    this.requests.push(request);
    this.#waiting.push(request);
    const { refused } = this.pool.stats().counters;
    const acquiring = this.pool.acquire({ label, priority, timeout, signal: controller.signal });
    if (this.pool.closed || this.pool.stats().counters.refused > refused) this.#settle(label);
    request.attempt = attempt(acquiring);
    acquiring.then(
      (handle) => this.#handles.push(handle),
      () => {},
    );
  }

  async act(action: Action): Promise<void> {
    const { pool, clock } = this;
    switch (action.do) {
      case 'acquire':
        return this.#acquire(action.priority, action.timeout);
      case 'tryAcquire': {
        const handle = this.#opensFail === 'for good' || pool.closed ? undefined : pool.tryAcquire();
        if (handle !== undefined) this.#handles.push(handle);
        return;
      }
      case 'release':
        return void pick(this.#held, action.which)?.release();
      case 'releaseAgain':
        return void pick(
          this.#handles.filter(({ lease }) => lease.ended),
          action.which,
        )?.release();
      case 'soil':
        return pick(this.#held, action.which)?.soil('pragma');
      case 'discard':
        return pick(this.#held, action.which)?.discard();
      case 'abort': {
        const request = pick(this.#waiting, action.which);
        this.#settle(request?.label);
        return request?.controller.abort();
      }
      case 'advance':
        await clock.pass(action.time);
        this.#dropRefused();
        assert.ok(
          this.#waiting.every(({ deadline }) => deadline > clock.now()),
          'past its deadline',
        );
        return;
      case 'lag':
        return clock.skip(action.time);
      case 'resize':
        if (pool.closed) return;
        this.#bound = Math.max(action.max, pool.stats().leased);
        return pool.resize({ max: action.max });
      case 'drain':
        return void pool.drain();
      case 'closeIdle':
        return void pool.closeIdle();
      case 'closeOverdue':
        return void pool.closeOverdue(action.time);
      case 'opensFail':
        this.#opensFail = action.how;
        return;
      case 'closesFail':
        this.#closesFail = action.fail;
        return;
      case 'hooksRefuse':
        this.#hooksRefuse = action.fail;
        return;
      case 'close':
        this.#waiting = [];
        return void pool.close({ timeout: action.time });
    }
  }

  /** Lets promises settle, and compares all that can be seen. */
  async check(): Promise<void> {
    await settled();
    this.#dropRefused();
    const { size, idle, leased, waiting, max } = this.pool.stats();
    assert.deepEqual(this.driver.faults, []);
    assert.equal(leased, this.#held.length, 'leased');
    assert.equal(this.pool.leases().length, leased);
    assert.equal(waiting, this.#waiting.length, 'waiting');
    const { open, reclaim, close, onAcquire, onRelease } = this.#under;
    assert.ok(waiting <= onAcquire || idle === 0, 'somebody waits beside an idle connection');
    assert.ok(waiting === 0 || this.clock.holding > 0, 'nothing holds the process for those who wait');
    if (this.pool.closed) return;
    const connections = this.driver.connections.size;
    assert.equal(connections, idle + leased + reclaim + onAcquire + onRelease, 'a connection is lost');
    assert.equal(size, connections + open + close, 'a slot is lost');
    assert.ok(size - close <= max || idle === 0, 'an idle connection above max');
    this.#bound = Math.max(max, Math.min(this.#bound, leased));
  }

  /** Gives everything back: then all are served or refused, and nothing is left. */
  async finish(): Promise<void> {
    const { pool, clock } = this;
    this.#opensFail = 'not';
    this.#closesFail = false;
    this.#hooksRefuse = false;
    for (let round = 0; round < 100 && (this.#waiting.length > 0 || this.#held.length > 0); round++) {
      for (const handle of this.#held) void handle.release();
      await clock.pass(20);
      await this.check();
    }
    while (Object.values(this.#under).some((count) => count > 0)) await clock.pass(1);
    const outcomes = new Map<string, number>();
    for (const { attempt: known } of this.requests) {
      const outcome = known?.state === 'refused' ? (known.error as { code: string }).code : `${known?.state}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    const { counters, size, idle, leased } = pool.stats();
    assert.ok(!outcomes.has('waiting'));
    assert.deepEqual([leased, idle], [0, size]);
    assert.equal(this.driver.connections.size, size);
    assert.equal(counters.timeouts, outcomes.get('ERR_LEASEHOLD_ACQUIRE_TIMEOUT') ?? 0);
    assert.equal(counters.aborted, outcomes.get('ABORT_ERR') ?? 0);
    assert.equal(counters.refused, outcomes.get('ERR_LEASEHOLD_QUEUE_FULL') ?? 0);
    assert.equal(counters.acquired, this.#handles.length);
    assert.equal(counters.released, this.#handles.length);
    let closed = false;
    void pool.close().then(() => {
      closed = true;
    });
    await clock.pass(20);
    assert.ok(closed);
    assert.equal(this.driver.connections.size, 0);
    assert.equal(clock.pending, 0, 'a timer is left');
    assert.deepEqual(this.driver.faults, []);
  }
}

function pick<Value>(values: readonly Value[], which: number): Value | undefined {
  return values[which % values.length];
}

const which = fc.nat({ max: 20 });
const time = fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 300 }));
const acquire: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('acquire' as const),
  priority: fc.integer({ min: -1, max: 1 }),
  timeout: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 300 })),
});
const release: fc.Arbitrary<Action> = fc.record({ do: fc.constant('release' as const), which });
const frequent: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    do: fc.constantFrom('releaseAgain' as const, 'soil' as const, 'discard' as const, 'abort' as const),
    which,
  }),
  fc.record({ do: fc.constantFrom('advance' as const, 'lag' as const), time }),
  fc.record({ do: fc.constant('tryAcquire' as const) }),
);
const rare: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant('resize' as const), max: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constantFrom('drain' as const, 'closeIdle' as const) }),
  fc.record({ do: fc.constantFrom('closeOverdue' as const), time }),
  fc.record({
    do: fc.constant('opensFail' as const),
    how: fc.constantFrom('not' as const, 'for good' as const, 'for now' as const),
  }),
  fc.record({ do: fc.constantFrom('closesFail' as const, 'hooksRefuse' as const), fail: fc.boolean() }),
);
const close: fc.Arbitrary<Action> = fc.record({ do: fc.constant('close' as const), time });
const step = fc.record({
  action: fc.oneof(
    { weight: 40, arbitrary: acquire },
    { weight: 25, arbitrary: release },
    { weight: 25, arbitrary: frequent },
    { weight: 9, arbitrary: rare },
    { weight: 1, arbitrary: close },
  ),
  /** Whether the next action comes in the same tick. */
  atOnce: fc.boolean(),
});

for (const asynchronous of [false, true]) {
  test(`whatever happens in whatever order, a pool on ${asynchronous ? 'an asynchronous' : 'a synchronous'} driver keeps its promises`, async (t) => {
    const setup = fc.record({
      asynchronous: fc.constant(asynchronous),
      hooks: fc.constantFrom('none' as const, 'synchronous' as const, 'asynchronous' as const),
      max: fc.integer({ min: 1, max: 3 }),
      maxWaiting: fc.constantFrom(0, 3, Infinity),
      maxUses: fc.constantFrom(2, Infinity),
      maxLifetime: fc.constantFrom(100, Infinity),
      order: fc.constantFrom('lifo' as const, 'fifo' as const),
    });
    await fc.assert(
      fc.asyncProperty(setup, fc.array(step, { maxLength: 80, size: 'max' }), async (given, steps) => {
        const model = new Model(given);
        for (const { action, atOnce } of steps) {
          await model.act(action);
          if (!atOnce) await model.check();
        }
        await model.check();
        await model.finish();
      }),
      { numRuns: 400, includeErrorInReport: true },
    );
    t.pass();
  });
}
