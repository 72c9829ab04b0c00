import test from 'ava';
import type { ScopeRef } from '../lib/holder.ts';
import type { TransactionRequest } from '../lib/level.ts';
import { type PoolOptions, poolSettings, type ReadOptions } from '../lib/options.ts';
import type { Entry } from '../lib/pool/request.ts';
import type { SlotLease } from '../lib/pool/slot.ts';
import { Transactions, type TransactionVerbs } from '../lib/transaction.ts';
import { TransactionalPool } from '../lib/transactional-pool.ts';
import { type FakeConnection, FakeDriver, type FakeHandle, type TestContext } from './support/driver.ts';
import { gate, settled } from './support/gate.ts';

/** An error after which the whole may be tried again. */
class PassingError extends Error {}

class Enough extends Error {}

class FakeVerbs implements TransactionVerbs<TransactionRequest> {
  readonly #handle: FakeHandle;
  readonly #log: string[];
  readonly #requests: TransactionRequest[];

  constructor(handle: FakeHandle, log: string[], requests: TransactionRequest[]) {
    this.#handle = handle;
    this.#log = log;
    this.#requests = requests;
  }

  async begin(request: TransactionRequest, opened: () => void): Promise<void> {
    this.#requests.push(request);
    await settled();
    this.#handle.begin();
    this.#note('BEGIN');
    opened();
  }

  async commit(): Promise<void> {
    await settled();
    this.#end('COMMIT');
  }

  async rollback(): Promise<void> {
    await settled();
    this.#end('ROLLBACK');
  }

  savepoint(depth: number, opened: () => void): void {
    this.#note(`SAVEPOINT ${depth}`);
    opened();
  }

  release(depth: number): void {
    this.#note(`RELEASE ${depth}`);
  }

  rollbackTo(depth: number): void {
    this.#note(`ROLLBACK TO ${depth}`);
  }

  end(): void {}

  isOpen(): boolean {
    return this.#handle.connection.inTransaction;
  }

  checkFree(): void {}

  unfinished(): undefined {}

  #end(verb: string): void {
    this.#handle.use();
    this.#handle.connection.inTransaction = false;
    this.#note(verb);
  }

  #note(verb: string): void {
    this.#log.push(`${this.#handle.connection.id} ${verb}`);
  }
}

interface Options extends ReadOptions {
  readonly retries?: number;
}

/** A pool with transactions, as that of a database with asynchronous verbs will have them. */
class FakeTransactionalPool extends TransactionalPool<FakeConnection, FakeHandle, TransactionRequest> {
  /** Verbs, with the number of their connection. */
  readonly log: string[] = [];
  readonly seen: TransactionRequest[] = [];
  readonly #transactions = new WeakMap<FakeHandle, Transactions<TransactionRequest>>();

  constructor(driver: FakeDriver, options: PoolOptions) {
    super(driver, poolSettings(options, { name: 'fake', max: 2 }), {}, driver.clock);
  }

  transaction<Result>(fn: (tx: FakeHandle) => Result, options: Options = {}): Promise<Awaited<Result>> {
    const { retries = 0 } = options;
    return this.transact(fn, { options, mode: 'immediate', readOnly: false, retries, entry: this.transaction });
  }

  protected override transactionsOf(handle: FakeHandle): Transactions<TransactionRequest> {
    let transactions = this.#transactions.get(handle);
    if (transactions === undefined) {
      transactions = new Transactions(new FakeVerbs(handle, this.log, this.seen), handle.lease, this.clock);
      this.#transactions.set(handle, transactions);
    }
    return transactions;
  }

  protected override takeFor(
    { label, signal, priority, timeout }: TransactionRequest,
    entry: Entry,
    scope: ScopeRef | undefined,
  ): SlotLease<FakeConnection, FakeHandle> | Promise<SlotLease<FakeConnection, FakeHandle>> {
    return this.take({ label, signal, priority, timeout }, entry, scope);
  }

  protected override mayPass(error: unknown): boolean {
    return error instanceof PassingError;
  }
}

function fake(t: TestContext, options: PoolOptions = {}) {
  const driver = new FakeDriver();
  const { clock } = driver;
  const pool = new FakeTransactionalPool(driver, options);
  t.teardown(async () => {
    void pool.close({ timeout: 0 });
    await settled();
    const left = { open: driver.connections.size, timers: clock.holding, faults: driver.faults };
    const expected = { open: 0, timers: 0, faults: [] };
    if (JSON.stringify(left) !== JSON.stringify(expected)) throw new Error(`Left behind: ${JSON.stringify(left)}`);
  });
  return { pool, driver, clock };
}

/** Fails the first `failures` times. */
function failing(failures: number) {
  const runs: (FakeHandle | undefined)[] = [];
  const fn = (tx: FakeHandle) => {
    runs.push(tx);
    if (runs.length <= failures) throw new PassingError(`${runs.length}`);
    return runs.length;
  };
  return { runs, fn };
}

test('without a scope a transaction has a connection and a scope for itself', async (t) => {
  const { pool } = fake(t);
  const result = await pool.transaction(async (tx) => {
    t.is(pool.current, tx);
    t.is(await pool.transaction((same) => same), tx);
    return 'result';
  });
  t.is(result, 'result');
  t.deepEqual(pool.log, ['1 BEGIN', '1 SAVEPOINT 1', '1 RELEASE 1', '1 COMMIT']);
  t.is(pool.stats().leased, 0);
});

test('in a scope that holds a connection a transaction runs on that', async (t) => {
  const { pool } = fake(t);
  await pool.withConnection(async (db) => {
    t.is(await pool.transaction((tx) => tx), db);
    await t.throwsAsync(
      pool.transaction(() => Promise.reject(new Enough())),
      { instanceOf: Enough },
    );
    t.is(pool.stats().leased, 1);
  });
  t.deepEqual(pool.log, ['1 BEGIN', '1 COMMIT', '1 BEGIN', '1 ROLLBACK']);
});

test('in a scope whose connection is being bound a transaction waits for that', async (t) => {
  const { pool } = fake(t);
  await pool.withScope(async () => {
    const [db, tx] = await Promise.all([pool.connection(), pool.transaction((handle) => handle)]);
    t.is(tx, db);
  });
  t.is(pool.stats().counters.acquired, 1);
});

test('in a scope whose connection could not be bound a transaction takes its own', async (t) => {
  const { pool } = fake(t);
  await pool.withScope(async () => {
    const binding = t.throwsAsync(() => pool.connection({ signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
    t.is(await pool.transaction((tx) => tx.connection.id), 1);
    await binding;
    t.is(pool.current, undefined);
  });
});

test('a separate transaction has its own connection, and both go on', async (t) => {
  const { pool } = fake(t);
  await pool.transaction(async (outer) => {
    const inner = await pool.transaction(
      async (tx) => {
        t.is(pool.current, tx);
        outer.use();
        return tx;
      },
      { nesting: 'separate' },
    );
    t.not(inner.connection, outer.connection);
    t.is(pool.current, outer);
    outer.use();
    t.throws(() => inner.use(), { code: 'ERR_LEASEHOLD_TRANSACTION_ENDED' });
  });
  t.deepEqual(pool.log, ['1 BEGIN', '2 BEGIN', '2 COMMIT', '1 COMMIT']);
});

test('label, signal, priority and timeout come from the call, else from the scope and the pool', async (t) => {
  const { pool } = fake(t, { acquireTimeout: 777 });
  const controller = new AbortController();
  await pool.withConnection(
    async () => {
      await pool.transaction(() => {});
      await pool.transaction(() => {}, { label: 'payment', timeout: 5, priority: 3, nesting: 'join' });
    },
    { label: 'request', signal: controller.signal },
  );
  const [first, second] = pool.seen;
  t.like(first, { label: 'request', timeout: 777, priority: 0, nesting: 'savepoint', readOnly: false });
  t.is(first?.signal, controller.signal);
  t.like(second, { label: 'payment', timeout: 5, priority: 3, nesting: 'join' });
});

for (const bound of [false, true]) {
  const where = bound ? 'bound' : 'unbound';
  const within = <Result>(pool: FakeTransactionalPool, fn: () => Promise<Result>) =>
    bound ? pool.withConnection(() => fn()) : fn();

  test(`a failure that may pass is tried again after a pause, with a request of its own, ${where}`, async (t) => {
    const { pool, clock } = fake(t);
    const { fn, runs } = failing(3);
    const result = within(pool, () => pool.transaction(fn, { retries: 3 }));
    const pauses: number[] = [];
    for (let times = 1; times <= 3; times++) {
      for (let turn = 0; turn < 10; turn++) await settled();
      t.is(runs.length, times);
      if (!bound) t.is(pool.stats().leased, 0, 'No connection is kept while it pauses');
      pauses.push(clock.next);
      await clock.pass(clock.next);
    }
    t.is(await result, 4);
    // Each pause up to a half shorter than 2, 4, 8.
    t.true(pauses.every((pause, index) => pause > 2 ** index && pause <= 2 ** (index + 1)));
    t.is(new Set(pool.seen.map(({ since }) => since)).size, 4);
    t.deepEqual(pool.log, [
      '1 BEGIN',
      '1 ROLLBACK',
      '1 BEGIN',
      '1 ROLLBACK',
      '1 BEGIN',
      '1 ROLLBACK',
      '1 BEGIN',
      '1 COMMIT',
    ]);
  });

  test(`the last error passes when the retries are used up, and at once where there are none, ${where}`, async (t) => {
    const { pool, clock } = fake(t);
    const once = failing(Infinity);
    await t.throwsAsync(
      within(pool, () => pool.transaction(once.fn)),
      { message: '1' },
    );
    const twice = failing(Infinity);
    const refused = t.throwsAsync(
      within(pool, () => pool.transaction(twice.fn, { retries: 1 })),
      { message: '2' },
    );
    for (let turn = 0; turn < 10; turn++) await settled();
    await clock.pass(10);
    await refused;
    t.deepEqual([once.runs.length, twice.runs.length], [1, 2]);
  });

  test(`an abort ends the pause between two tries, ${where}`, async (t) => {
    const { pool, clock } = fake(t);
    const controller = new AbortController();
    const { fn, runs } = failing(Infinity);
    const aborted = t.throwsAsync(
      within(pool, () => pool.transaction(fn, { retries: 9, signal: controller.signal })),
      { code: 'ABORT_ERR' },
    );
    for (let turn = 0; turn < 10; turn++) await settled();
    controller.abort();
    await aborted;
    t.deepEqual([runs.length, clock.holding], [1, 0]);
  });
}

test('other failures are not tried again', async (t) => {
  const { pool } = fake(t);
  let runs = 0;
  const refused = pool.transaction(
    () => {
      runs++;
      throw new Enough();
    },
    { retries: 9 },
  );
  await t.throwsAsync(refused, { instanceOf: Enough });
  t.is(runs, 1);
});

test('a part of a transaction is not tried again alone', async (t) => {
  const { pool, clock } = fake(t);
  const parts: number[] = [];
  const whole = pool.transaction(
    async () => {
      parts.push(0);
      await pool.transaction(
        () => {
          parts.push(1);
          if (parts.length < 4) throw new PassingError();
        },
        { retries: 9 },
      );
    },
    { retries: 1 },
  );
  for (let turn = 0; turn < 10; turn++) await settled();
  await clock.pass(10);
  await whole;
  t.deepEqual(parts, [0, 1, 0, 1]);
});

test('a separate transaction inside another is tried again', async (t) => {
  const { pool, clock } = fake(t);
  const { fn, runs } = failing(1);
  const whole = pool.transaction(() => pool.transaction(fn, { nesting: 'separate', retries: 1 }));
  for (let turn = 0; turn < 10; turn++) await settled();
  await clock.pass(10);
  await whole;
  t.is(runs.length, 2);
});

test('what is to be tried again when its scope has ended is refused', async (t) => {
  const { pool, clock } = fake(t);
  const { fn, runs } = failing(Infinity);
  const begun = gate();
  let retried: Promise<unknown> | undefined;
  await pool.withScope(async () => {
    retried = t.throwsAsync(
      pool.transaction(
        (tx) => {
          begun.open();
          return fn(tx);
        },
        { retries: 9 },
      ),
      { code: 'ERR_LEASEHOLD_SCOPE_ENDED' },
    );
    await begun.passed;
    for (let turn = 0; turn < 5; turn++) await settled();
  });
  await clock.pass(10);
  await retried;
  t.is(runs.length, 1);
});

test('a pool that is closed between two tries refuses the next one', async (t) => {
  const { pool, clock } = fake(t);
  const { fn } = failing(Infinity);
  const refused = t.throwsAsync(pool.transaction(fn, { retries: 9 }), { code: 'ERR_LEASEHOLD_CLOSED' });
  for (let turn = 0; turn < 10; turn++) await settled();
  await pool.close();
  await clock.pass(10);
  await refused;
});
