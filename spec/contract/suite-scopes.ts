import { AsyncLocalStorage } from 'node:async_hooks';
import { gate } from '../support/gate.ts';
import { type ContractHandle, coded, contractOf, Enough, reasonOf, release, type Subject } from './subject.ts';

/** One logical request, and the connection that it holds. */
export function testScopes<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test('withConnection binds a connection to what its function calls, and gives it back', async (t) => {
    const pool = await open(t);
    const callee = async () => {
      await insert(pool.db, 'by a callee');
      return pool.current;
    };
    const result = await pool.withConnection(async (db) => {
      t.is(await callee(), db);
      t.true(db.open);
      t.like(pool.stats(), { leased: 1, size: 1 });
      return 'its result';
    });
    t.is(result, 'its result');
    t.is(pool.current, undefined);
    t.deepEqual(await committed(pool), ['by a callee']);
    t.like(pool.stats(), { leased: 0, idle: 1, size: 1 });
  });

  test('nested calls share the connection of their scope, and only the outermost gives it back', async (t) => {
    const pool = await open(t, { max: 1 });
    await pool.withConnection(async (outer) => {
      await pool.withConnection(async (inner) => t.is(inner, outer));
      await pool.withScope(() => t.is(pool.current, outer));
      t.is(await pool.connection(), outer);
      await pool.transaction(async (tx) => t.is(tx, outer));
      await pool.read(async (db) => t.is(db, outer));
      t.true(outer.open);
      t.is(pool.stats().leased, 1);
    });
    t.is(pool.stats().counters.acquired, 1);
  });

  test('fresh takes a second connection, which is the one of all that it calls', async (t) => {
    const pool = await open(t);
    await pool.withConnection(async (outer) => {
      await pool.withConnection(
        async (inner) => {
          t.not(inner, outer);
          t.is(pool.current, inner);
          t.is(new Set(pool.leases().map(({ connection }) => connection)).size, 2);
        },
        { fresh: true },
      );
      t.is(pool.current, outer);
      t.is(pool.stats().leased, 1);
    });
  });

  test('requests that run at the same time hold a connection each', async (t) => {
    const pool = await open(t);
    const all = gate();
    const held: Db[] = [];
    const request = () =>
      pool.withConnection(async (db) => {
        if (held.push(db) === 3) all.open();
        await all.passed;
        t.is(pool.current, db);
        await names(pool.db);
        t.is(pool.current, db);
      });
    await Promise.all([request(), request(), request()]);
    t.is(new Set(held).size, 3);
  });

  test('a scope holds nothing until it asks, and then one connection until its end', async (t) => {
    const pool = await open(t);
    await pool.withScope(async () => {
      t.is(pool.current, undefined);
      t.like(pool.stats(), { leased: 0, size: 0 });
      await pool.withConnection(async (db) => t.is(pool.current, db));
      await pool.transaction((tx) => insert(tx, 'a'));
      t.is(pool.current, undefined, 'what takes one for its own duration leaves the scope unbound');
      t.is(pool.stats().leased, 0);
      const [db, same] = await Promise.all([pool.connection(), pool.connection()]);
      t.is(same, db);
      t.is(pool.current, db);
      t.is(pool.stats().leased, 1);
    });
    t.is(pool.stats().leased, 0);
  });

  test('without a scope there is neither a connection to bind nor one that is bound', async (t) => {
    const pool = await open(t);
    await t.throwsAsync(pool.connection(), coded('NO_SCOPE'));
    await t.throwsAsync(async () => names(pool.db), coded('NO_CONNECTION'));
    await t.throwsAsync(
      pool.withScope(() => names(pool.db)),
      coded('NO_CONNECTION'),
    );
    t.false(pool.db.open);
  });

  test('whether a transaction is open can not be told where there is no connection', async (t) => {
    const pool = await open(t);
    t.throws(() => pool.db.inTransaction, coded('NO_CONNECTION'));
    await pool.withConnection(() => t.false(pool.db.inTransaction));
  });

  test('acquire binds nothing', async (t) => {
    const pool = await open(t);
    await pool.withScope(async () => {
      const db = await pool.acquire();
      t.is(pool.current, undefined);
      await release(db);
    });
    await pool.withConnection(async (bound) => {
      const db = await pool.acquire();
      t.not(db, bound);
      t.is(pool.current, bound);
      await release(db);
    });
  });

  test('two pools nest without knowing of each other', async (t) => {
    const [one, other] = [await open(t), await open(t)];
    await one.withConnection(async (first) => {
      t.is(other.current, undefined);
      await other.withConnection(async (second) => {
        t.is(one.current, first);
        t.is(other.current, second);
        await insert(one.db, 'in one');
        await insert(other.db, 'in the other');
      });
      t.is(other.current, undefined);
      t.is(one.current, first);
    });
    t.deepEqual([await committed(one), await committed(other)], [['in one'], ['in the other']]);
  });

  for (const [what, thrown] of Object.entries({ 'an error': new Enough(), nothing: undefined, 'a text': 'enough' })) {
    const reject = () => Promise.reject(thrown);
    const raise = () => {
      // oxlint-disable-next-line typescript/only-throw-error -- it may be anything
      throw thrown;
    };

    test(`${what} that is thrown passes through unchanged, and the connection comes back`, async (t) => {
      const pool = await open(t, { max: 1 });
      for (const fn of [reject, raise]) {
        t.is(await reasonOf(pool.withConnection(fn)), thrown);
        t.is(await reasonOf(pool.withScope(fn)), thrown);
        t.is(await reasonOf(pool.transaction(fn)), thrown);
        t.is(await reasonOf(pool.read(fn)), thrown);
        t.is(await reasonOf(pool.withConnection(() => pool.transaction(fn))), thrown);
      }
      t.like(pool.stats(), { leased: 0, waiting: 0, counters: { dirty: 0, discarded: 0 } });
    });
  }

  test('whoever has waited goes on in the context of its own request', async (t) => {
    const pool = await open(t, { max: 1 });
    const requests = new AsyncLocalStorage<string>();
    const first = await pool.acquire();
    const waiting = ['a', 'b'].map((name) =>
      requests.run(name, () =>
        pool.withConnection(async (db) => {
          t.is(requests.getStore(), name);
          await names(db);
          t.is(requests.getStore(), name);
          t.is(pool.current, db);
        }),
      ),
    );
    await requests.run('releaser', () => release(first));
    await Promise.all(waiting);
    t.is(pool.stats().counters.acquired, 3);
  });
}
