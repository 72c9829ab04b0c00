import { type ContractHandle, coded, contractOf, Enough, onlyLease, reasonOf, type Subject, watch } from './subject.ts';

/** Transactions that end by a call. */
export function testOpenTransactions<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('an open transaction is committed when it is told to', async (t) => {
    const pool = await open(t);
    const transaction = pool.openTransaction({ label: 'POST /order' });
    await transaction.begun;
    t.like(onlyLease(pool), { label: 'POST /order', mode: 'write', inTransaction: true });
    await transaction.run((tx) => insert(tx, 'a'));
    await transaction.run(() => pool.transaction((part) => insert(part, 'b')));
    t.deepEqual(await committed(pool), []);
    await transaction.commit();
    await transaction.ended;
    t.deepEqual(await committed(pool), ['a', 'b']);
    t.like(await reasonOf(transaction.run((tx) => insert(tx, 'late'))), coded('TRANSACTION_ENDED'));
    t.is(pool.stats().leased, 0);
  });

  test('an open transaction is rolled back when it is told to', async (t) => {
    const pool = await open(t);
    const transaction = pool.openTransaction();
    await transaction.begun;
    await transaction.run((tx) => insert(tx, 'lost'));
    await transaction.rollback();
    t.like(await reasonOf(transaction.commit()), coded('TRANSACTION_ENDED'));
    t.like(await reasonOf(transaction.ended), coded('TRANSACTION_ENDED'));
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { dirty: 0, discarded: 0 } });
  });

  test('an open transaction ends with the scope that it was opened in', async (t) => {
    const pool = await open(t);
    const dirt = watch(pool, 'dirty');
    for (const isBound of [false, true]) {
      let opened: ReturnType<typeof pool.openTransaction> | undefined;
      await pool.withScope(
        async () => {
          if (isBound) await pool.connection();
          opened = pool.openTransaction();
          await opened.begun;
          await opened.run((tx) => insert(tx, 'lost'));
        },
        { label: 'GET /careless' },
      );
      t.true((await reasonOf(opened?.ended as Promise<void>)) instanceof Error);
      t.is(pool.stats().leased, 0);
    }
    t.deepEqual(
      dirt.map(({ label, traces }) => ({ label, open: traces.some((trace) => trace.includes('open transaction')) })),
      [
        { label: 'GET /careless', open: true },
        { label: 'GET /careless', open: true },
      ],
    );
    t.deepEqual(await committed(pool), []);
  });

  test('an open transaction is rolled back when its signal is aborted', async (t) => {
    const pool = await open(t, { max: 1 });
    const abort = new AbortController();
    const transaction = pool.openTransaction({ signal: abort.signal });
    await transaction.begun;
    await transaction.run((tx) => insert(tx, 'lost'));
    abort.abort(new Enough());
    t.like(await reasonOf(transaction.ended), { name: 'AbortError' });
    t.deepEqual(await committed(pool), []);
    t.like(pool.stats(), { leased: 0, counters: { discarded: 0 } });
  });

  test('an open transaction of which a nested one was undone goes on', async (t) => {
    const pool = await open(t);
    const transaction = pool.openTransaction();
    await transaction.begun;
    await transaction.run(async (tx) => {
      await insert(tx, 'kept');
      const failing = pool.transaction(async (part) => {
        await insert(part, 'lost');
        await subject.fail(part);
      });
      await t.throwsAsync(failing, subject.refusal);
      t.deepEqual(await names(tx), ['kept']);
    });
    await transaction.commit();
    t.deepEqual(await committed(pool), ['kept']);
  });
}
