import type { TransactionAbortedError } from '../../lib/index.ts';
import { gate } from '../support/gate.ts';
import { after, type ContractHandle, coded, contractOf, Enough, onlyLease, reasonOf, type Subject } from './subject.ts';

/** What becomes of a transaction as a whole. */
export function testTransactions<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('a transaction is committed when its function resolves, and seen by nobody before', async (t) => {
    const pool = await open(t);
    const result = await pool.transaction(async (tx) => {
      t.true(tx.inTransaction);
      await insert(tx, 'a');
      await insert(pool.db, 'b');
      t.deepEqual(await names(tx), ['a', 'b']);
      t.deepEqual(await committed(pool), []);
      return 'its result';
    });
    t.is(result, 'its result');
    t.deepEqual(await committed(pool), ['a', 'b']);
    t.is(pool.stats().leased, 0);
  });

  test('a transaction is rolled back when its function throws, and the error passes', async (t) => {
    const pool = await open(t);
    const enough = new Enough();
    const failing = pool.transaction(async (tx) => {
      await insert(tx, 'lost');
      throw enough;
    });
    t.is(await reasonOf(failing), enough);
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { dirty: 0, discarded: 0 } });
  });

  test('a transaction whose statement is refused is rolled back, and the error of the database passes', async (t) => {
    const pool = await open(t);
    await t.throwsAsync(
      pool.transaction(async (tx) => {
        await insert(tx, 'lost');
        await subject.fail(tx);
      }),
      subject.refusal,
    );
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { dirty: 0, discarded: 0 } });
  });

  test('a transaction in which a refused statement was got over is committed, or fails with the first error', async (t) => {
    const pool = await open(t);
    const running = pool.transaction(async (tx) => {
      await insert(tx, 'before');
      await t.throwsAsync(subject.fail(tx), subject.refusal);
      if (subject.failureEndsTransaction) {
        const error = (await reasonOf(names(tx))) as TransactionAbortedError;
        t.like(error, { ...coded('TRANSACTION_ABORTED'), cause: subject.refusal });
      } else await insert(tx, 'after');
    });
    if (subject.failureEndsTransaction) {
      t.like(await reasonOf(running), { ...coded('TRANSACTION_ABORTED'), cause: subject.refusal });
    } else await running;
    t.deepEqual(await committed(pool), subject.failureEndsTransaction ? [] : ['before', 'after']);
    t.is(pool.stats().leased, 0);
  });

  test('a transaction whose COMMIT the database refuses is rolled back, and its connection used again', async (t) => {
    const pool = await open(t, { max: 1 });
    await pool.withConnection(async (db) => {
      const running = pool.transaction(async (tx) => {
        await insert(tx, 'lost');
        await pool.transaction((part) => subject.failAtCommit(part));
      });
      t.like(await reasonOf(running), subject.commitRefusal);
      t.false(db.inTransaction);
      await pool.transaction((tx) => insert(tx, 'kept'));
    });
    t.deepEqual(await committed(pool), ['kept']);
    t.like(pool.stats(), { leased: 0, counters: { dirty: 0, discarded: 0 } });
  });

  test('a transaction runs on the connection of its scope, and leaves it bound', async (t) => {
    const pool = await open(t, { max: 1 });
    await pool.withConnection(async (db) => {
      await pool.transaction(async (tx) => {
        t.is(tx, db);
        await insert(db, 'by the outer handle');
      });
      t.false(db.inTransaction);
      t.is(pool.current, db);
      await reasonOf(
        pool.transaction(async () => {
          await insert(db, 'lost');
          throw new Enough();
        }),
      );
      t.false(db.inTransaction);
      await insert(db, 'on its own');
    });
    t.deepEqual(await committed(pool), ['by the outer handle', 'on its own']);
  });

  test('of two writers beside each other both commit', async (t) => {
    const pool = await open(t);
    const [first, second] = [gate(), gate()];
    const writing = pool.transaction(async (tx) => {
      await insert(tx, 'first');
      first.open();
      // One that had to wait for the other's end would never get here.
      await (subject.writersTakeTurns ? undefined : second.passed);
    });
    await first.passed;
    const other = pool.transaction(async (tx) => {
      await insert(tx, 'second');
      second.open();
    });
    await Promise.all([writing, other]);
    t.deepEqual((await committed(pool)).toSorted(), ['first', 'second']);
  });

  test('what outlives its transaction is refused, and commits nothing by itself', async (t) => {
    const pool = await open(t);
    for (const within of ['a scope', 'none']) {
      const ended = gate();
      let left: Promise<unknown>[] = [];
      const run = () =>
        pool.transaction(async (tx) => {
          left = [
            after(ended.passed, () => insert(tx, 'late')),
            after(ended.passed, () => insert(pool.db, 'late')),
          ].map(reasonOf);
          await insert(tx, within);
        });
      await (within === 'none'
        ? run()
        : pool.withConnection(async () => {
            await run();
            ended.open();
            await Promise.all(left);
          }));
      ended.open();
      for (const error of await Promise.all(left)) t.like(error, coded('TRANSACTION_ENDED'));
    }
    t.deepEqual(await committed(pool), ['a scope', 'none']);
  });

  test('SQL can neither begin nor end anything in a managed transaction, which goes on', async (t) => {
    const pool = await open(t);
    await pool.transaction(
      async (tx) => {
        await insert(tx, 'before');
        for (const control of [subject.begin, subject.commit]) {
          t.like(await reasonOf(control(tx)), { ...coded('TRANSACTION_MANAGED'), label: 'order' });
          await pool.transaction(async (part) => {
            t.like(await reasonOf(control(part)), coded('TRANSACTION_MANAGED'));
          });
        }
        await insert(tx, 'after');
      },
      { label: 'order' },
    );
    t.deepEqual(await committed(pool), ['before', 'after']);
  });

  test('a managed transaction does not begin within one that SQL has begun', async (t) => {
    const pool = await open(t);
    await pool.withConnection(async (db) => {
      await subject.begin(db);
      t.like(await reasonOf(pool.transaction(() => {})), coded('TRANSACTION_BUSY'));
      await subject.commit(db);
      await pool.transaction((tx) => insert(tx, 'then'));
    });
    t.deepEqual(await committed(pool), ['then']);
  });

  test('the signal of a transaction refuses its statements and rolls it back', async (t) => {
    const pool = await open(t, { max: 1 });
    const abort = new AbortController();
    const reason = new Enough();
    const running = pool.transaction(
      async (tx) => {
        await insert(tx, 'lost');
        abort.abort(reason);
        t.like(await reasonOf(insert(tx, 'late')), { name: 'AbortError', cause: reason });
      },
      { signal: abort.signal },
    );
    t.like(await reasonOf(running), { name: 'AbortError', cause: reason });
    t.like(await reasonOf(pool.transaction(() => t.fail(), { signal: abort.signal })), { name: 'AbortError' });
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { discarded: 0 } });
  });

  test('the label of a transaction names its lease, and its mode says what it is for', async (t) => {
    const pool = await open(t);
    await pool.transaction(
      () => t.like(onlyLease(pool), { label: 'POST /order', mode: 'write', inTransaction: true }),
      { label: 'POST /order' },
    );
    await pool.read(() => t.like(onlyLease(pool), { label: 'GET /order', mode: 'read', inTransaction: true }), {
      label: 'GET /order',
    });
    await pool.withConnection(
      async () => {
        await pool.transaction(() => t.like(onlyLease(pool), { label: 'request', mode: 'write' }));
        t.like(onlyLease(pool), { label: 'request', mode: 'connection', inTransaction: false });
      },
      { label: 'request' },
    );
  });

  test('without retries, what a snapshot comes too late for keeps the error of the database', async (t) => {
    const place = await subject.place(t);
    const pool = place.open();
    let runs = 0;
    const running = pool.transaction(async (tx) => {
      runs++;
      await subject.number(tx);
      await place.add();
      await subject.add(tx);
    }, subject.snapshot);
    await t.throwsAsync(running, subject.conflict);
    t.is(runs, 1);
    t.is(await pool.withConnection((db) => subject.number(db)), 1);
  });

  for (const where of ['in a scope that has a connection', 'outside of every scope']) {
    test(`retries run the whole function again on a new snapshot, ${where}`, async (t) => {
      const place = await subject.place(t);
      const pool = place.open();
      const seen: number[] = [];
      const run = (retries: number) =>
        pool.transaction(
          async (tx) => {
            seen.push(await subject.number(tx));
            if (seen.length % 3 !== 0) await place.add();
            await subject.add(tx);
            await insert(tx, `run ${seen.length}`);
            return seen.length;
          },
          { ...subject.snapshot, retries },
        );
      const within = <Result>(fn: () => Promise<Result>) => (where.startsWith('in') ? pool.withConnection(fn) : fn());
      t.is(await within(() => run(2)), 3);
      t.deepEqual(seen, [0, 1, 2]);
      t.deepEqual(await committed(pool), ['run 3']);
      await t.throwsAsync(
        within(() => run(1)),
        subject.conflict,
        'when the retries are used up the last error passes',
      );
      t.is(seen.length, 5);
      t.like(pool.stats(), { leased: 0, waiting: 0 });
    });
  }

  test('only a transaction as a whole is run again, not a part of it', async (t) => {
    const place = await subject.place(t);
    const pool = place.open();
    let runs = 0;
    const running = pool.transaction(async (tx) => {
      await subject.number(tx);
      await pool.transaction(
        async (part) => {
          runs++;
          await place.add();
          await subject.add(part);
        },
        { retries: 5 },
      );
    }, subject.snapshot);
    await t.throwsAsync(running, subject.conflict);
    t.is(runs, 1);
  });
}
