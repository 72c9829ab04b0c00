import test from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { heldLane, outlived, tracesOf, watchedItems } from '../support/dangling.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn } from '../support/items.ts';

const label = 'job';

test('a raw transaction and open iterators are named with their number, and undone', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  for (const count of [1, 2]) {
    await pool.withConnection(
      (db) => {
        db.exec('BEGIN');
        insert(db, 'lost');
        for (let index = 0; index < count; index++) db.prepare('SELECT 1 UNION SELECT 2').iterate().next();
      },
      { label },
    );
  }
  t.deepEqual(tracesOf(dirt), [
    [label, 'open iterator', 'open transaction'],
    [label, '2 open iterators', 'open transaction'],
  ]);
  t.regex(dirt[1]?.message ?? '', /^Scope #\d+ "job" of "app" left behind: 2 open iterators, open transaction\. /);
  t.deepEqual(await namesIn(pool), []);
  t.is(pool.stats().counters.dirty, 2);
});

test('transactions on the connection of the scope that nobody awaits are named: the open one, and those behind it', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const open = gate();
  const left: Promise<unknown>[] = [];
  await pool.withConnection(
    async () => {
      left.push(
        outlived(
          t,
          pool.transaction(async (tx) => {
            insert(tx, 'lost');
            await open.passed;
          }),
          'SCOPE_ENDED',
        ),
      );
      for (let index = 0; index < 2; index++)
        left.push(
          outlived(
            t,
            pool.transaction(() => t.fail('its turn came')),
            'SCOPE_ENDED',
          ),
        );
      await settled();
    },
    { label },
  );
  t.deepEqual(tracesOf(dirt), [[label, 'open transaction', '2 queued transactions']]);
  open.open();
  await Promise.all(left);
  t.is(dirt.length, 1);
  t.deepEqual(await namesIn(pool), []);
  pool.assertIdle();
});

test('a transaction that a scope without a connection has open is a lease of its own, and goes on', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const open = gate();
  const left: Promise<unknown>[] = [];
  const before = pool.stats().counters.acquired;
  await pool.withScope(
    async () => {
      left.push(
        pool.transaction(
          async (tx) => {
            insert(tx, 'kept');
            await open.passed;
          },
          { label: 'import' },
        ),
      );
      left.push(
        outlived(
          t,
          pool.transaction(() => t.fail('its turn came')),
          'SCOPE_ENDED',
        ),
      );
      left.push(outlived(t, pool.run("INSERT INTO item VALUES ('lost')"), 'SCOPE_ENDED'));
      await settled();
    },
    { label },
  );
  t.deepEqual(tracesOf(dirt), [[label, '2 queued writes', `lease #${before + 1} "import"`]]);
  t.deepEqual([dirt[0]?.lease, dirt[0]?.connection], [undefined, undefined]);
  open.open();
  await Promise.all(left);
  t.deepEqual(await namesIn(pool), ['kept']);
  t.is(dirt.length, 1);
});

test('a transaction on a connection of its own is named beside that of the scope', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const open = gate();
  const left: Promise<unknown>[] = [];
  await pool.withConnection(
    async () => {
      left.push(pool.transaction(() => open.passed, { nesting: 'separate', label: 'audit' }));
      await settled();
    },
    { label },
  );
  t.is(dirt.length, 1);
  t.deepEqual(tracesOf(dirt), [[label, `lease #${pool.leases()[0]?.id} "audit"`]]);
  open.open();
  await Promise.all(left);
  pool.assertIdle();
});

test('of a scope that was aborted before it ends, a transaction on a connection of its own is undone, though its function hangs', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const begun = gate();
  const gone = new AbortController();
  const scope = pool.openScope({ label, signal: gone.signal });
  let late: (() => unknown) | undefined;
  void scope.run(() =>
    pool.transaction(
      async (tx) => {
        insert(tx, 'lost');
        late = () => insert(tx, 'late');
        begun.open();
        await new Promise(() => {});
      },
      { label: 'order' },
    ),
  );
  await begun.passed;
  gone.abort();
  t.like(pool.stats(), { leased: 1, laneHeld: 1 });
  await scope.end();
  t.like(pool.stats(), { leased: 0, laneHeld: 0 });
  t.deepEqual(
    dirt.map((event) => [
      event.label,
      event.traces.length,
      /^(?:open transaction|lease #\d+ "order")$/.test(event.traces[0] ?? ''),
    ]),
    [
      ['order', 1, true],
      [label, 1, true],
    ],
  );
  t.throws(() => late?.(), { code: 'ERR_LEASEHOLD_SCOPE_ENDED' });
  await pool.run("INSERT INTO item VALUES ('next')");
  t.deepEqual(await namesIn(pool), ['next']);
});

test('of a scope that was aborted, a connection that its code took for itself stays with it', async (t) => {
  const { pool } = await watchedItems(t);
  const gone = new AbortController();
  const scope = pool.openScope({ signal: gone.signal });
  const db = await scope.run(() => pool.acquire());
  gone.abort();
  await scope.end();
  t.true(db.open);
  db.close();
  t.is(pool.stats().leased, 0);
});

test('a snapshot that nobody awaits is named', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const open = gate();
  const left: Promise<unknown>[] = [];
  await pool.withScope(
    async () => {
      left.push(pool.read(() => open.passed, { label: 'report' }));
      await settled();
    },
    { label },
  );
  t.deepEqual(tracesOf(dirt), [[label, `lease #${pool.leases()[0]?.id} "report"`]]);
  open.open();
  await Promise.all(left);
});

test('all at once: one event', async (t) => {
  const { pool, dirt } = await watchedItems(t, { max: 3 });
  const release = await heldLane(t, pool);
  const open = gate();
  const left: Promise<unknown>[] = [];
  const kept: LeasedDatabase[] = [];
  await pool.withConnection(
    async (db) => {
      db.prepare('SELECT 1 UNION SELECT 2').iterate().next();
      left.push(outlived(t, pool.run("INSERT INTO item VALUES ('lost')"), 'SCOPE_ENDED'));
      kept.push(await pool.acquire({ label: 'export' }));
      left.push(pool.withConnection(() => open.passed, { fresh: true, label: 'nested' }));
      await settled();
      left.push(outlived(t, pool.acquire(), 'SCOPE_ENDED'));
      await settled();
    },
    { label },
  );
  const [exported, nested] = ['export', 'nested'].map((name) => pool.leases().find((each) => each.label === name)?.id);
  t.deepEqual(tracesOf(dirt), [
    [
      label,
      'open iterator',
      '1 queued acquire',
      '1 queued write',
      `lease #${exported} "export"`,
      `lease #${nested} "nested"`,
    ],
  ]);
  t.is(pool.stats().counters.dirty, 1);
  open.open();
  kept[0]?.close();
  await Promise.all(left);
  await release();
  t.is(dirt.length, 1);
  pool.assertIdle();
});

test('nothing is named where all was awaited, however it ended', async (t) => {
  const { pool, dirt } = await watchedItems(t, { max: 2 });
  const controller = new AbortController();
  const { signal } = controller;
  const release = await heldLane(t, pool);
  await pool.withConnection(async () => {
    await outlived(
      t,
      pool.transaction(() => {}, { timeout: 5 }),
      'WRITE_TIMEOUT',
    );
    const aborted = t.throwsAsync(pool.run('DELETE FROM item', [], { signal }), { code: 'ABORT_ERR' });
    const separate = t.throwsAsync(
      pool.transaction(() => {}, { nesting: 'separate', signal }),
      { code: 'ABORT_ERR' },
    );
    await settled();
    controller.abort();
    await Promise.all([aborted, separate]);
    await pool.read((db) => db.prepare('SELECT * FROM item').all());
    const handle = await pool.acquire();
    handle.close();
  });
  await release();
  await pool.withScope(async () => {
    await t.throwsAsync(
      pool.transaction((tx) => {
        insert(tx, 'lost');
        throw new Enough();
      }),
      { instanceOf: Enough },
    );
    await Promise.all([pool.transaction((tx) => insert(tx, 'a')), pool.transaction((tx) => insert(tx, 'b'))]);
    await pool.withConnection(() => pool.transaction((tx) => insert(tx, 'c'), { nesting: 'separate' }), {
      fresh: true,
    });
    await pool.transaction(async (tx) => {
      await pool.transaction((inner) => insert(inner, 'd'));
      insert(tx, 'e');
    });
    await using db = await pool.acquire({ write: true });
    insert(db, 'f');
  });
  t.deepEqual(await namesIn(pool), ['a', 'b', 'c', 'd', 'e', 'f']);
  t.deepEqual(dirt, []);
  pool.assertIdle();
});

test('connections that are taken away leave nothing to name at the end of their scopes', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  await pool.withScope(async () => {
    await pool.acquire();
    await pool.acquire({ write: true });
    await pool.connection();
    pool.closeOverdue(0);
  });
  t.deepEqual(dirt, []);
  const open = gate();
  const running = outlived(
    t,
    pool.transaction(async () => {
      await pool.acquire();
      await open.passed;
    }),
    'RELEASED',
  );
  await settled();
  await pool.close({ timeout: 0 });
  t.deepEqual(tracesOf(dirt), [[undefined, 'open transaction']], 'what was undone when it was taken away');
  open.open();
  await running;
  t.is(dirt.length, 1);
  t.is(pool.stats().leased, 0);
});

test('a lease that the function of a transaction takes and leaves is named with that, which commits', async (t) => {
  const { pool, dirt } = await watchedItems(t);
  const kept: LeasedDatabase[] = [];
  await pool.transaction(
    async (tx) => {
      kept.push(await pool.acquire({ label: 'kept' }));
      insert(tx, 'a');
    },
    { label },
  );
  t.deepEqual(tracesOf(dirt), [[label, `lease #${pool.leases()[0]?.id} "kept"`]]);
  t.deepEqual(await namesIn(pool), ['a']);
  kept[0]?.close();
  pool.assertIdle();
});
