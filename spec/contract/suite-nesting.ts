import type { TransactionAbortedError, TransactionBusyError } from '../../lib/index.ts';
import { gate, settled } from '../support/gate.ts';
import { type ContractHandle, coded, contractOf, Enough, reasonOf, type Subject } from './subject.ts';

/** Transactions within transactions, and what is open beside them. */
export function testNesting<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('a nested transaction that fails is undone alone', async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      await insert(tx, 'outer');
      const failing = pool.transaction(async (part) => {
        await insert(part, 'lost');
        await pool.transaction((inner) => insert(inner, 'lost, too'));
        throw new Enough();
      });
      t.true((await reasonOf(failing)) instanceof Enough);
      await pool.transaction((part) => insert(part, 'part'));
      await insert(tx, 'outer again');
    });
    t.deepEqual(await committed(pool), ['outer', 'part', 'outer again']);
  });

  test('a nested transaction undoes what a refused statement has done to it, and the outer one goes on', async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      await insert(tx, 'outer');
      for (let round = 0; round < 2; round++) {
        const failing = pool.transaction(async (part) => {
          await insert(part, 'lost');
          await subject.fail(part);
        });
        await t.throwsAsync(failing, subject.refusal);
      }
      t.deepEqual(await names(tx), ['outer']);
      await insert(tx, 'outer again');
    });
    t.deepEqual(await committed(pool), ['outer', 'outer again']);
  });

  test('a part in which a refused statement was got over is kept, or fails alone with the first error', async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      await insert(tx, 'outer');
      const part = pool.transaction(async () => {
        await insert(tx, 'part');
        await t.throwsAsync(subject.fail(tx), subject.refusal);
      });
      if (subject.failureEndsTransaction) {
        t.like(await reasonOf(part), { ...coded('TRANSACTION_ABORTED'), cause: subject.refusal });
      } else await part;
      await insert(tx, 'outer again');
    });
    const kept = subject.failureEndsTransaction ? [] : ['part'];
    t.deepEqual(await committed(pool), ['outer', ...kept, 'outer again']);
  });

  test('a part does not begin in a transaction that can not go on, and is told of the first error', async (t) => {
    const pool = await open(t);
    const running = pool.transaction(async (tx) => {
      await t.throwsAsync(subject.fail(tx), subject.refusal);
      const part = pool.transaction((inner) => insert(inner, 'part'));
      if (subject.failureEndsTransaction) {
        t.like(await reasonOf(part), { ...coded('TRANSACTION_ABORTED'), cause: subject.refusal });
      } else await part;
    });
    if (subject.failureEndsTransaction) t.like(await reasonOf(running), coded('TRANSACTION_ABORTED'));
    else await running;
    t.deepEqual(await committed(pool), subject.failureEndsTransaction ? [] : ['part']);
  });

  test('what joins a transaction succeeds and fails together with it', async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      await pool.transaction(async (same) => t.is(same, tx) && insert(same, 'joined'), { nesting: 'join' });
    });
    const enough = new Enough();
    const running = pool.transaction(async (tx) => {
      await insert(tx, 'lost');
      const joined = pool.transaction(
        async (same) => {
          await insert(same, 'lost, too');
          throw enough;
        },
        { nesting: 'join' },
      );
      t.is(await reasonOf(joined), enough);
      const error = (await reasonOf(insert(tx, 'late'))) as TransactionAbortedError;
      t.like(error, coded('TRANSACTION_ABORTED'));
      t.is(error.cause, enough);
    });
    t.is(((await reasonOf(running)) as Error).cause, enough);
    t.deepEqual(await committed(pool), ['joined']);
    t.is(pool.stats().leased, 0);
  });

  test('a separate transaction of what only reads commits on another connection', async (t) => {
    const pool = await open(t);
    await pool.read(async (db) => {
      t.deepEqual(await names(db), []);
      await pool.transaction(
        async (tx) => {
          t.not(tx, db);
          await insert(tx, 'separate');
        },
        { nesting: 'separate' },
      );
      t.deepEqual(await names(db), []);
    });
    t.deepEqual(await committed(pool), ['separate']);
  });

  test('a separate transaction within one that writes is its own, or refused at once where there is one writer', async (t) => {
    const pool = await open(t);
    const running = pool.transaction(async (tx) => {
      await insert(tx, 'lost');
      const separate = pool.transaction((other) => insert(other, 'separate'), { nesting: 'separate' });
      if (subject.writersTakeTurns) t.like(await reasonOf(separate), coded('WRITE_LOCKED'));
      else await separate;
      throw new Enough();
    });
    t.true((await reasonOf(running)) instanceof Enough);
    t.deepEqual(await committed(pool), subject.writersTakeTurns ? [] : ['separate']);
  });

  test('nested transactions that are started side by side run one after the other, in order', async (t) => {
    const pool = await open(t);
    const log: string[] = [];
    const part = (name: string, fails = false) =>
      pool.transaction(async (tx) => {
        log.push(`${name} begins`);
        await insert(tx, name);
        await settled();
        await names(pool.db);
        log.push(`${name} ends`);
        if (fails) throw new Enough();
      });
    const siblings = () => Promise.allSettled([part('a'), part('b', true), part('c')]);
    const expected = ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'];
    await pool.transaction(siblings);
    t.deepEqual(log.splice(0), expected);
    await pool.withConnection(siblings);
    t.deepEqual(log, expected);
    t.deepEqual(await committed(pool), ['a', 'c', 'a', 'c']);
    t.is(pool.stats().leased, 0);
  });

  test('while a nested transaction is open, another branch is refused, and the outer handle serves the branch inside', async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      const [begun, go] = [gate(), gate()];
      const nested = pool.transaction(async () => {
        await insert(tx, 'inside');
        begun.open();
        await go.passed;
        await insert(pool.db, 'inside again');
      });
      await begun.passed;
      const error = (await reasonOf(insert(tx, 'slipped in'))) as TransactionBusyError;
      t.like(error, { ...coded('TRANSACTION_BUSY'), reason: 'other branch' });
      go.open();
      await nested;
      await insert(tx, 'afterwards');
    });
    t.deepEqual(await committed(pool), ['inside', 'inside again', 'afterwards']);
  });

  test('while a transaction is open, another branch of its scope is refused', async (t) => {
    const pool = await open(t);
    await pool.withConnection(async (db) => {
      const [begun, go] = [gate(), gate()];
      const running = pool.transaction(async (tx) => {
        await insert(tx, 'inside');
        begun.open();
        await go.passed;
      });
      await begun.passed;
      t.like(await reasonOf(insert(db, 'slipped in')), { ...coded('TRANSACTION_BUSY'), reason: 'other branch' });
      go.open();
      await running;
      await insert(db, 'afterwards');
    });
    t.deepEqual(await committed(pool), ['inside', 'afterwards']);
  });

  test('a transaction whose nested one was not awaited is rolled back', async (t) => {
    const pool = await open(t);
    const [begun, go] = [gate(), gate()];
    let nested: Promise<unknown> | undefined;
    const running = pool.transaction(async (tx) => {
      await insert(tx, 'outer');
      nested = reasonOf(
        pool.transaction(async (part) => {
          await insert(part, 'part');
          begun.open();
          await go.passed;
          await insert(part, 'late');
        }),
      );
      await begun.passed;
    });
    t.like(await reasonOf(running), { ...coded('TRANSACTION_BUSY'), reason: 'unfinished' });
    go.open();
    t.like(await nested, coded('TRANSACTION_ENDED'));
    t.deepEqual(await committed(pool), []);
    t.is(pool.stats().leased, 0);
  });

  test('read sees one snapshot, whatever others commit meanwhile', async (t) => {
    const pool = await open(t);
    await pool.transaction((tx) => insert(tx, 'before'));
    await pool.read(async (db) => {
      t.deepEqual(await names(db), ['before']);
      await pool.withConnection((other) => insert(other, 'meanwhile'), { fresh: true });
      t.deepEqual(await names(db), ['before']);
      await pool.read(async (same) => t.deepEqual(await names(same), ['before']));
    });
    t.deepEqual(await committed(pool), ['before', 'meanwhile']);
  });

  test('the snapshot of read is taken at its start', async (t) => {
    const pool = await open(t);
    await pool.read(async (db) => {
      await pool.withConnection((other) => insert(other, 'meanwhile'), { fresh: true });
      t.deepEqual(await names(db), []);
    });
  });

  test('read refuses to write, by a statement and by a transaction', async (t) => {
    const pool = await open(t);
    t.like(await reasonOf(pool.read((db) => insert(db, 'lost'))), coded('READ_ONLY'));
    await pool.read(async (db) => {
      t.like(await reasonOf(pool.transaction(() => t.fail())), coded('READ_ONLY'));
      t.deepEqual(await names(db), []);
    });
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { discarded: 0, dirty: 0 } });
  });

  test('read within a transaction sees what that sees, refuses to write, and leaves it able to', async (t) => {
    const pool = await open(t);
    await pool.transaction(async (tx) => {
      await insert(tx, 'before');
      await pool.read(async (db) => {
        t.is(db, tx);
        t.deepEqual(await names(db), ['before']);
      });
      t.like(await reasonOf(pool.read((db) => insert(db, 'lost'))), coded('READ_ONLY'));
      await insert(tx, 'after');
    });
    t.deepEqual(await committed(pool), ['before', 'after']);
  });
}
