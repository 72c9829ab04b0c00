import { gate } from '../support/gate.ts';
import {
  after,
  type ContractHandle,
  coded,
  contractOf,
  Enough,
  onlyLease,
  reasonOf,
  type Subject,
  watch,
} from './subject.ts';

/** What becomes of a scope, and of what is left over of it, at its end. */
export function testScopeEnds<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('what is left over of a scope finds neither its connection nor another', async (t) => {
    const pool = await open(t);
    const ended = gate();
    let old: Db | undefined;
    const left: Promise<unknown>[] = [];
    await pool.withConnection(async (db) => {
      old = db;
      left.push(
        after(ended.passed, () => names(pool.db)),
        after(ended.passed, () => pool.connection()),
        after(ended.passed, () => names(db)),
      );
    });
    ended.open();
    for (const promise of left) t.like(await reasonOf(promise), coded('SCOPE_ENDED'));
    t.false((old as Db).open);
    t.like(pool.stats(), { leased: 0, idle: 1 });
  });

  test('what is left over of a scope may begin one of its own', async (t) => {
    const pool = await open(t);
    const ended = gate();
    let left: Promise<unknown> | undefined;
    await pool.withConnection(async () => {
      left = (async () => {
        await ended.passed;
        await pool.withConnection((db) => insert(db, 'late'));
        await pool.transaction((tx) => insert(tx, 'later'));
      })();
    });
    ended.open();
    await left;
    t.deepEqual(await committed(pool), ['late', 'later']);
  });

  test('a scope that ends cancels what waits in it, and says so', async (t) => {
    const pool = await open(t, { max: 1 });
    const dirt = watch(pool, 'dirty');
    let waiter: Promise<unknown> | undefined;
    await pool.withConnection(
      async () => {
        waiter = reasonOf(pool.acquire());
      },
      { label: 'GET /careless' },
    );
    t.like(await waiter, coded('SCOPE_ENDED'));
    t.like(dirt, [{ label: 'GET /careless', traces: ['1 queued acquire'] }]);
    t.like(pool.stats(), { leased: 0, waiting: 0, idle: 1 });
  });

  test('a transaction that waits when its scope ends never begins', async (t) => {
    const pool = await open(t, { max: 1 });
    const [begun, go] = [gate(), gate()];
    const running = pool.transaction(async (tx) => {
      await insert(tx, 'first');
      begun.open();
      await go.passed;
    });
    await begun.passed;
    let waiter: Promise<unknown> | undefined;
    await pool.withScope(async () => {
      waiter = reasonOf(pool.transaction((tx) => insert(tx, 'too late')));
    });
    t.like(await waiter, coded('SCOPE_ENDED'));
    t.like(pool.stats(), { leased: 1, waiting: 0, counters: { dirty: 1 } });
    go.open();
    await running;
    t.deepEqual(await committed(pool), ['first']);
  });

  test('after its signal is aborted, a scope’s statements are refused, and its connection comes back clean', async (t) => {
    const pool = await open(t, { max: 1 });
    const abort = new AbortController();
    const reason = new Enough();
    await pool.withConnection(
      async (db) => {
        await insert(db, 'before');
        abort.abort(reason);
        t.like(await reasonOf(insert(db, 'after')), { name: 'AbortError', cause: reason });
        t.like(await reasonOf(pool.transaction(() => {})), { name: 'AbortError' });
      },
      { signal: abort.signal },
    );
    t.deepEqual(await committed(pool), ['before']);
    t.like(pool.stats(), { leased: 0, counters: { opened: 1, discarded: 0 } });
  });

  test('an open scope runs functions in it until it is ended', async (t) => {
    const pool = await open(t);
    const scope = pool.openScope({ label: 'GET /' });
    t.is(scope.current, undefined);
    const db = await scope.run(() => pool.connection());
    t.is(scope.current, db);
    t.is(
      scope.run(() => pool.current),
      db,
    );
    t.is(pool.current, undefined);
    t.is(onlyLease(pool).label, 'GET /');
    await scope.run(() => insert(pool.db, 'in it'));
    await scope.end();
    t.true(scope.ended);
    t.false(db.open);
    t.like(await reasonOf(scope.run(() => pool.connection())), coded('SCOPE_ENDED'));
    t.deepEqual(await committed(pool), ['in it']);
    t.is(pool.stats().leased, 0);
  });

  test('an open scope that is ended undoes the transaction that runs in it', async (t) => {
    const pool = await open(t);
    const dirt = watch(pool, 'dirty');
    const scope = pool.openScope({ label: 'GET /' });
    const [begun, go] = [gate(), gate()];
    const running = scope.run(async () => {
      await pool.connection();
      return reasonOf(
        pool.transaction(async (tx) => {
          await insert(tx, 'undone');
          begun.open();
          await go.passed;
          await insert(tx, 'late');
        }),
      );
    });
    await begun.passed;
    await scope.end();
    go.open();
    t.like(await running, coded('SCOPE_ENDED'));
    t.deepEqual(await committed(pool), []);
    t.true(dirt.length === 1 && dirt[0]?.label === 'GET /' && dirt[0].traces.includes('open transaction'));
    t.is(pool.stats().leased, 0);
  });
}
