import test from 'ava';
import { frames } from '../lib/context.ts';
import { AbortError } from '../lib/errors.ts';
import type { TransactionRequest } from '../lib/level.ts';
import { Transactions } from '../lib/transaction.ts';
import { FakeClock } from './support/clock.ts';
import { gate, settled } from './support/gate.ts';
import { transactionRequest } from './support/requests.ts';
import { FakeDatabase, FakeLease } from './support/transactions.ts';

class Enough extends Error {}

function fake() {
  const lease = new FakeLease();
  const database = new FakeDatabase();
  const clock = new FakeClock();
  const transactions = new Transactions(database, lease, clock);
  const run = <Result>(fn: () => Result, request: Partial<TransactionRequest> = {}) =>
    transactions.run(fn, transactionRequest(clock, request));
  /** A statement of the present async context. */
  const statement = () => transactions.check();
  /** Ends the lease as the pool does: what is open is rolled back by the clean-up. */
  const end = () => {
    lease.ended = true;
    database.open.length = 0;
    transactions.leaseEnded();
  };
  const hold = (verb: string) => {
    const held = gate();
    database.held.set(verb, held);
    return held;
  };
  return { lease, database, clock, transactions, run, statement, end, hold };
}

const refusal = (code: string) => ({ code: `ERR_LEASEHOLD_${code}` });

test('verbs that take time are sent in order, and the function runs between them', async (t) => {
  const { database, run, statement, transactions } = fake();
  const result = await run(async () => {
    statement();
    database.log.push('outer');
    const inner = await run(() => {
      statement();
      database.log.push('inner');
      return 'inner';
    });
    await t.throwsAsync(
      run(() => {
        throw new Enough();
      }),
      { instanceOf: Enough },
    );
    statement();
    return `outer of ${inner}`;
  });
  t.is(result, 'outer of inner');
  t.deepEqual(database.log, [
    'BEGIN',
    'outer',
    'SAVEPOINT 1',
    'inner',
    'RELEASE 1',
    'SAVEPOINT 1',
    'ROLLBACK TO 1',
    'COMMIT',
  ]);
  t.deepEqual([database.faults, database.ended, transactions.current], [[], 1, undefined]);
  t.notThrows(statement);
});

test('while a verb is on its way, no statement of whatever branch gets in', async (t) => {
  const { run, statement, hold, transactions } = fake();
  const [begin, savepoint, release, commit] = ['BEGIN', 'SAVEPOINT 1', 'RELEASE 1', 'COMMIT'].map(hold);
  let innermost: (() => void) | undefined;
  const running = run(async () => {
    const part = run(() => {
      // What goes on in the context of the part, whatever becomes of it.
      const inside = frames.getStore();
      innermost = () => frames.run(inside as NonNullable<typeof inside>, statement);
      statement();
    });
    savepoint?.open();
    await settled();
    t.throws(statement, refusal('TRANSACTION_BUSY'), 'RELEASE is on its way');
    t.throws(() => innermost?.(), refusal('TRANSACTION_ENDED'));
    release?.open();
    await part;
    statement();
    t.throws(() => innermost?.(), refusal('TRANSACTION_ENDED'));
  });
  t.notThrows(statement, 'Nothing is open yet');
  begin?.open();
  await settled();
  await settled();
  t.throws(statement, refusal('TRANSACTION_BUSY'), 'COMMIT is on its way');
  commit?.open();
  await running;
  t.notThrows(statement);
  t.is(transactions.current, undefined);
});

test('parts started side by side are begun one after the other, though each takes time', async (t) => {
  const { database, run } = fake();
  await run(() => Promise.all([run(() => 'a'), run(() => 'b'), run(() => 'c')]));
  const once = ['SAVEPOINT 1', 'RELEASE 1'];
  t.deepEqual(database.log, ['BEGIN', ...once, ...once, ...once, 'COMMIT']);
  t.deepEqual(database.faults, []);
});

test('a COMMIT that fails is followed by a ROLLBACK, and its error passes', async (t) => {
  const { database, run, transactions } = fake();
  const error = new Enough('deferred constraint');
  database.fails.set('COMMIT', error);
  t.is(await t.throwsAsync(run(() => 'never')), error);
  t.deepEqual(database.log, ['BEGIN', 'COMMIT', 'ROLLBACK']);
  t.deepEqual([transactions.current, database.ended], [undefined, 1]);
});

test('a BEGIN or SAVEPOINT that fails leaves things as they were', async (t) => {
  const { database, run, statement, transactions } = fake();
  const error = new Enough();
  database.fails.set('BEGIN', error);
  t.is(await t.throwsAsync(run(() => t.fail())), error);
  t.is(transactions.current, undefined);
  t.notThrows(statement);
  database.fails.clear();
  await run(async () => {
    database.fails.set('SAVEPOINT 1', error);
    t.is(await t.throwsAsync(run(() => t.fail())), error);
    statement();
    database.fails.clear();
    t.is(await run(() => 'the next one'), 'the next one');
  });
  t.deepEqual(database.faults, []);
});

test('a ROLLBACK that fails breaks the lease: the connection is discarded, and what it held stays held', async (t) => {
  const { lease, database, run, statement } = fake();
  const [cause, failure] = [new Enough(), new Enough('ROLLBACK')];
  database.fails.set('ROLLBACK', failure);
  t.is(
    await t.throwsAsync(
      run(() => {
        throw cause;
      }),
    ),
    cause,
  );
  t.deepEqual([lease.reports, lease.discards.length, database.ended], [[failure], 1, 0]);
  t.is(t.throws(statement, refusal('TRANSACTION_ABORTED'))?.cause, failure);
  await t.throwsAsync(
    run(() => t.fail()),
    refusal('TRANSACTION_ABORTED'),
  );
});

test('a transaction whose part is still being begun when its function returns is not committed around it', async (t) => {
  const { database, run, statement, hold, transactions } = fake();
  const savepoint = hold('SAVEPOINT 1');
  let part: Promise<unknown> | undefined;
  const running = run(() => {
    part = t.throwsAsync(run(() => t.fail()));
  });
  const outcome = running.then(
    () => 'committed',
    (error: { code?: string }) => error.code,
  );
  await settled();
  await settled();
  savepoint.open();
  await part;
  t.is(await outcome, 'ERR_LEASEHOLD_TRANSACTION_BUSY');
  t.is(transactions.current, undefined);
  t.notThrows(statement);
  t.deepEqual([database.open, database.faults], [[], []]);
});

for (const verb of ['SAVEPOINT 1', 'RELEASE 1', 'ROLLBACK TO 1']) {
  for (const atOnce of [false, true]) {
    const when = atOnce ? 'with' : 'before';
    test(`a transaction that fails while ${verb} of a part is on its way, answered ${when} ROLLBACK, is over afterwards`, async (t) => {
      const { lease, run, statement, hold, transactions, database } = fake();
      const held = hold(verb);
      let part: Promise<unknown> | undefined;
      const failed = t.throwsAsync(
        run(async () => {
          part = run(() => {
            if (verb === 'ROLLBACK TO 1') throw new Enough('part');
          }).catch(() => {});
          for (let turn = 0; turn < 4; turn++) await settled();
          throw new Enough();
        }),
        { instanceOf: Enough },
      );
      for (let turn = 0; turn < 8; turn++) await settled();
      t.is(database.log.at(-1), 'ROLLBACK');
      database.answersAtOnce = atOnce;
      held.open();
      await failed;
      await part;
      t.is(database.log.at(-1), 'ROLLBACK', 'What has been rolled back needs no verbs of its own');
      t.is(transactions.current, undefined);
      t.notThrows(statement);
      t.is(await run(() => 'the next one'), 'the next one');
      t.deepEqual([lease.reports, lease.discards, database.faults], [[], [], []]);
    });
  }
}

test('a part that fails while SAVEPOINT of a part of it is on its way is undone alone', async (t) => {
  const { lease, run, statement, hold, database } = fake();
  const held = hold('SAVEPOINT 2');
  await run(async () => {
    const left: Promise<unknown>[] = [];
    const failed = run(() => {
      left.push(
        t.throwsAsync(
          run(() => t.fail()),
          refusal('TRANSACTION_ENDED'),
        ),
      );
      throw new Enough();
    });
    for (let turn = 0; turn < 4; turn++) await settled();
    held.open();
    await t.throwsAsync(failed, { instanceOf: Enough });
    await Promise.all(left);
    t.notThrows(statement);
  });
  t.deepEqual(database.log, ['BEGIN', 'SAVEPOINT 1', 'SAVEPOINT 2', 'ROLLBACK TO 1', 'COMMIT']);
  t.deepEqual(lease.reports, []);
});

test('a lease that ends while BEGIN is on its way sends nothing more', async (t) => {
  const { database, run, end, hold, transactions } = fake();
  const begin = hold('BEGIN');
  const running = t.throwsAsync(
    run(() => t.fail()),
    { code: 'LEASE_ENDED' },
  );
  await settled();
  end();
  begin.open();
  await running;
  t.deepEqual(database.log, ['BEGIN']);
  t.is(transactions.current, undefined);
});

test('a lease that ends in the middle ends all levels, and sends nothing more', async (t) => {
  const { database, run, statement, end, transactions } = fake();
  const done = gate();
  const left: Promise<unknown>[] = [];
  const running = t.throwsAsync(
    run(async () => {
      left.push(
        t.throwsAsync(
          run(async () => {
            left.push(
              t.throwsAsync(
                run(() => done.passed),
                { code: 'LEASE_ENDED' },
              ),
            );
            await done.passed;
            t.throws(statement, refusal('TRANSACTION_ENDED'));
          }),
          { code: 'LEASE_ENDED' },
        ),
        t.throwsAsync(
          run(() => t.fail()),
          { code: 'LEASE_ENDED' },
        ),
      );
      await done.passed;
    }),
    { code: 'LEASE_ENDED' },
  );
  const waiting = t.throwsAsync(
    run(() => t.fail()),
    { code: 'LEASE_ENDED' },
  );
  for (let turn = 0; turn < 5; turn++) await settled();
  end();
  await waiting;
  done.open();
  await Promise.all([running, ...left]);
  t.deepEqual(database.log, ['BEGIN', 'SAVEPOINT 1', 'SAVEPOINT 2']);
  t.is(transactions.current, undefined);
});

test('the signal of the lease is looked at before the function is called, and before COMMIT', async (t) => {
  const { lease, database, run } = fake();
  await t.throwsAsync(
    run(() => lease.abort()),
    { instanceOf: AbortError },
  );
  t.deepEqual(database.log, ['BEGIN', 'ROLLBACK']);
  await t.throwsAsync(
    run(() => t.fail()),
    { instanceOf: AbortError },
  );
});

test('who waits for a turn longer than the timeout is refused, and leaves nothing that holds the process', async (t) => {
  const { clock, run } = fake();
  const done = gate();
  const first = run(() => done.passed, { label: 'first' });
  await settled();
  const second = t.throwsAsync(
    run(() => t.fail(), { timeout: 50 }),
    refusal('TRANSACTION_BUSY'),
  );
  const third = run(() => 'third', { timeout: Infinity });
  await clock.pass(49);
  const early = await Promise.race([second.then(() => 'refused'), settled().then(() => 'waiting')]);
  t.is(early, 'waiting');
  await clock.pass(1);
  t.like(await second, { reason: 'timeout', label: 'first', pool: 'fake' });
  done.open();
  await first;
  t.is(await third, 'third');
  t.is(clock.holding, 0);
});
