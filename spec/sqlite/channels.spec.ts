import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import test from 'ava';
import type { TransactionMessage } from '../../lib/index.ts';
import { outline, type Told, watchTracing } from '../support/channels.ts';
import { temporaryFile } from '../support/files.ts';
import { gate, settled } from '../support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from '../support/items.ts';
import { rawDatabase, temporaryPool } from '../support/sqlite.ts';

const transactions = 'leasehold:transaction';

test.serial('a transaction is told from its call to its COMMIT, and its result is not in it', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  const secret = { secret: 'not for subscribers' };
  const before = pool.stats().counters.acquired;
  const running = pool.transaction(
    async (tx) => {
      t.deepEqual(outline(told), [['start'], ['end']]);
      insert(tx, 'a');
      await settled();
      return secret;
    },
    { label: 'import' },
  );
  const asked = { pool: 'app', poolId: pool.id, label: 'import', mode: 'immediate', scope: undefined };
  t.deepEqual(told, [
    { step: 'start', ...asked, attempts: 0 },
    { step: 'end', ...asked, attempts: 0 },
  ]);
  t.is(await running, secret);
  const [started, ended] = told.slice(2);
  const { waited, connection, ...rest } = started ?? ({} as Told<TransactionMessage>);
  t.deepEqual(rest, {
    step: 'asyncStart',
    ...asked,
    attempts: 1,
    lease: before + 1,
    result: undefined,
  } as object as typeof rest);
  t.true(typeof waited === 'number' && waited >= 0 && typeof connection === 'number');
  t.deepEqual(ended, { ...started, step: 'asyncEnd' });
  t.is(told.length, 4);
  t.false(JSON.stringify(told).includes(secret.secret));
});

test.serial('each mode is told by its name, reads as snapshots', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  for (const mode of ['immediate', 'deferred', 'exclusive'] as const) await pool.transaction(() => {}, { mode });
  await pool.read(() => {});
  t.deepEqual(
    told.filter(({ step }) => step === 'start').map(({ mode }) => mode),
    ['immediate', 'deferred', 'exclusive', 'read'],
  );
});

test.serial('nested transactions are told within those around them, on the same lease', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  await pool.withConnection(async () => {
    await pool.transaction(
      async (tx) => {
        insert(tx, 'outer');
        await pool.transaction((inner) => insert(inner, 'inner'), { label: 'inner' });
        await pool.transaction((inner) => insert(inner, 'joined'), { label: 'joined', nesting: 'join' });
      },
      { label: 'outer' },
    );
  });
  t.deepEqual(outline(told, 'label', 'attempts'), [
    ['start', 'outer', 0],
    ['end', 'outer', 0],
    ['start', 'inner', 0],
    ['end', 'inner', 0],
    ['asyncStart', 'inner', 1],
    ['asyncEnd', 'inner', 1],
    ['start', 'joined', 0],
    // To join takes no verb of the database, so its function has been called by then.
    ['end', 'joined', 1],
    ['asyncStart', 'joined', 1],
    ['asyncEnd', 'joined', 1],
    ['asyncStart', 'outer', 1],
    ['asyncEnd', 'outer', 1],
  ]);
  const leases = new Set(told.filter(({ lease }) => lease !== undefined).map(({ lease }) => lease));
  t.is(leases.size, 1);
  t.deepEqual(await namesIn(pool), ['outer', 'inner', 'joined']);
});

test.serial('a rollback is told with the error of its function, which passes through', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  const failure = new Enough();
  const failing = (tx: Parameters<typeof insert>[0]) => {
    insert(tx, 'lost');
    throw failure;
  };
  t.is(await t.throwsAsync(pool.transaction(failing)), failure);
  t.deepEqual(outline(told, 'error', 'attempts'), [
    ['start', undefined, 0],
    ['end', undefined, 0],
    ['error', failure, 1],
    ['asyncStart', failure, 1],
    ['asyncEnd', failure, 1],
  ]);
  told.length = 0;
  await pool.transaction(async () => void (await t.throwsAsync(pool.transaction(failing, { label: 'part' }))));
  t.deepEqual(
    told.filter(({ step }) => step === 'error').map(({ label }) => label),
    ['part'],
    'what is caught around it is no failure of that',
  );
  t.deepEqual(await namesIn(pool), []);
});

test.serial('an undefined rejection passes through as such', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  const outcome = await pool
    // oxlint-disable-next-line promise/no-promise-in-callback, typescript/prefer-promise-reject-errors -- the subject
    .transaction(() => Promise.reject(undefined))
    .then(
      () => 'resolved',
      (error: unknown) => error,
    );
  t.is(outcome, undefined);
  t.deepEqual(outline(told), [['start'], ['end'], ['error'], ['asyncStart'], ['asyncEnd']]);
});

test.serial('one that never begins is told with the error, and no lease', async (t) => {
  const pool = await openItems(t, { maxWaiting: 1 });
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  const open = gate();
  const holding = pool.transaction(() => open.passed, { label: 'holder' });
  const controller = new AbortController();
  const options = { signal: controller.signal, label: 'waiting' };
  const waiting = t.throwsAsync(
    pool.transaction(() => t.fail(), options),
    { code: 'ABORT_ERR' },
  );
  await settled();
  await t.throwsAsync(
    pool.transaction(() => t.fail(), { label: 'refused' }),
    refusal('QUEUE_FULL'),
  );
  controller.abort();
  await waiting;
  await t.throwsAsync(
    pool.transaction(() => t.fail(), { label: 'late', timeout: 10 }),
    refusal('WRITE_TIMEOUT'),
  );
  await t.throwsAsync(
    pool
      .withScope(async () => {
        const left = pool.transaction(() => t.fail(), { label: 'left' });
        left.catch(() => {});
        await settled();
        return { left };
      })
      .then(({ left }) => left),
    refusal('SCOPE_ENDED'),
  );
  open.open();
  await holding;
  await pool.close();
  await t.throwsAsync(
    pool.transaction(() => t.fail(), { label: 'closed' }),
    refusal('CLOSED'),
  );
  const failures = told.filter(({ step }) => step === 'error');
  t.deepEqual(
    failures.map(({ label, error, attempts, lease }) => [label, (error as { code: string }).code, attempts, lease]),
    [
      ['refused', 'ERR_LEASEHOLD_QUEUE_FULL', 0, undefined],
      ['waiting', 'ABORT_ERR', 0, undefined],
      ['late', 'ERR_LEASEHOLD_WRITE_TIMEOUT', 0, undefined],
      ['left', 'ERR_LEASEHOLD_SCOPE_ENDED', 0, undefined],
      ['closed', 'ERR_LEASEHOLD_CLOSED', 0, undefined],
    ],
  );
  t.is(told.length, 4 + 5 * 5);
});

test.serial('one that is run again counts its attempts in the one message', async (t) => {
  const file = temporaryFile(t);
  const pool = temporaryPool(t, {}, file);
  await pool.run('CREATE TABLE item (name TEXT)');
  // Somebody whom the lane does not keep waiting.
  const other = rawDatabase(t, file);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  let attempts = 0;
  await pool.transaction(
    (tx) => {
      tx.prepare('SELECT count(*) FROM item').get();
      // Committed after its first read, so that its snapshot is too old to write.
      if (++attempts < 3) other.exec("INSERT INTO item VALUES ('other')");
      insert(tx, 'mine');
    },
    { mode: 'deferred', retries: 5 },
  );
  t.is(attempts, 3);
  t.deepEqual(outline(told, 'attempts'), [
    ['start', 0],
    ['end', 0],
    ['asyncStart', 3],
    ['asyncEnd', 3],
  ]);
  told.length = 0;
  await t.throwsAsync(
    pool.transaction(
      () => {
        throw Object.assign(new Error('stale'), { code: 'SQLITE_BUSY_SNAPSHOT' });
      },
      { retries: 2 },
    ),
  );
  t.deepEqual(outline(told, 'attempts'), [
    ['start', 0],
    ['end', 0],
    ['error', 3],
    ['asyncStart', 3],
    ['asyncEnd', 3],
  ]);
});

test.serial('an async transaction function of a handle is traced, a synchronous one is not', async (t) => {
  const pool = await openItems(t);
  const { told } = watchTracing<TransactionMessage>(t, transactions, pool);
  await pool.withConnection(
    async (db) => {
      const lease = pool.leases()[0]?.id;
      db.transaction(() => insert(db, 'sync'))();
      t.deepEqual(told, []);
      const async = db.transaction(async (name: string) => {
        await settled();
        insert(db, name);
        return 'result';
      });
      t.is(await async.deferred('async'), 'result');
      t.deepEqual(outline(told, 'mode', 'label', 'attempts', 'lease'), [
        ['start', 'deferred', 'job', 0, undefined],
        ['end', 'deferred', 'job', 0, undefined],
        ['asyncStart', 'deferred', 'job', 1, lease],
        ['asyncEnd', 'deferred', 'job', 1, lease],
      ]);
      t.is(typeof told[0]?.scope, 'number');
      t.false(JSON.stringify(told).includes('result"'));
    },
    { label: 'job' },
  );
  t.deepEqual(await namesIn(pool), ['sync', 'async']);
});

test.serial('a store bound to the start of a transaction is seen in its function, and nowhere else', async (t) => {
  const pool = await openItems(t);
  const storage = new AsyncLocalStorage<{ readonly span: string | undefined }>();
  const tracing = tracingChannel<unknown, TransactionMessage>(transactions);
  tracing.start.bindStore(storage, ({ label }: TransactionMessage) => ({ span: label }));
  t.teardown(() => void tracing.start.unbindStore(storage));
  const seen: (string | undefined)[] = [];
  const look = () => void seen.push(storage.getStore()?.span);
  const bodies = async () => {
    await pool.transaction(
      async (tx) => {
        look();
        await settled();
        look();
        await pool.transaction(look, { label: 'inner' });
        look();
        insert(tx, 'a');
        t.is(pool.current, tx);
      },
      { label: 'outer', retries: 1 },
    );
    look();
  };
  await bodies();
  t.deepEqual(seen.splice(0), ['outer', 'outer', 'inner', 'outer', undefined]);
  await pool.withConnection(bodies);
  t.deepEqual(seen.splice(0), ['outer', 'outer', 'inner', 'outer', undefined]);
  await pool.read(async () => look(), { label: 'report' });
  await pool.withConnection((db) => db.transaction(async () => look())(), { label: 'handle' });
  t.deepEqual(seen, ['report', 'handle']);
});
