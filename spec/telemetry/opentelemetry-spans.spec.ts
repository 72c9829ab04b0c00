import { setTimeout } from 'node:timers/promises';
import { SpanStatusCode } from '@opentelemetry/api';
import test, { type ExecutionContext } from 'ava';
import { ClosedError } from '../../lib/errors.ts';
import type { SqlitePoolOptions } from '../../lib/index.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { gate, settled } from '../support/gate.ts';
import { insert, namesIn, openItems } from '../support/items.ts';
import { tracingSdk } from '../support/opentelemetry.ts';
import { rawDatabase } from '../support/sqlite.ts';

const transaction = 'leasehold.transaction';

async function traced(t: ExecutionContext, options?: SqlitePoolOptions) {
  const pool = await openItems(t, options);
  // Warm, so that nobody waits for a connection to be opened.
  await pool.withConnection(() => {});
  const sdk = tracingSdk(t);
  const watch = instrument(pool, { tracerProvider: sdk.tracerProvider });
  t.teardown(() => watch.stop());
  const transactions = () => sdk.spans().filter(({ name }) => name === transaction);
  return { ...sdk, pool, transactions };
}

/** Makes a span of the application that is over at once. */
type Mark = (name: string) => Promise<void>;

const ways: Record<string, (mark: Mark) => Promise<void>> = {
  'at once': (mark) => mark('x'),
  'after an await': async (mark) => {
    await settled();
    await mark('x');
  },
  'after a timer': async (mark) => {
    await setTimeout(1);
    await mark('x');
  },
  'in a callback': (mark) =>
    new Promise((resolve) => {
      setImmediate(() => resolve(mark('x')));
    }),
};

for (const [when, work] of Object.entries(ways)) {
  test(`a span made in a transaction ${when} is a child of it, and it of its caller’s`, async (t) => {
    const { pool, inSpan, paths } = await traced(t);
    const mark: Mark = (name) => inSpan(name, () => {});
    await inSpan('GET /', async () => {
      await pool.transaction(() => work(mark));
      await mark('after');
      await pool.read(() => work(mark));
      await pool.withConnection(() => pool.transaction(() => work(mark)));
      await pool.withConnection((db) => db.transaction(async () => work(mark))());
      await mark('last');
    });
    const inside = [`GET / > ${transaction} > x`, `GET / > ${transaction}`];
    t.deepEqual(paths(), [...inside, 'GET / > after', ...inside, ...inside, ...inside, 'GET / > last', 'GET /']);
  });
}

test('a transaction outside every span has one of its own, and spans in it are its children', async (t) => {
  const { pool, inSpan, paths } = await traced(t);
  await pool.transaction(() => inSpan('x', () => {}));
  await inSpan('y', () => {});
  t.deepEqual(paths(), [`${transaction} > x`, transaction, 'y']);
});

test('savepoints are spans in that of the transaction around them, and what follows is in that again', async (t) => {
  const { pool, inSpan, paths } = await traced(t);
  await pool.transaction(async (tx) => {
    await pool.transaction(async () => {
      await settled();
      await inSpan('a', () => {});
      await tx.transaction(async () => inSpan('b', () => {}))();
      await inSpan('c', () => {});
    });
    await pool.transaction(() => inSpan('joined', () => {}), { nesting: 'join' });
    await inSpan('d', () => {});
  });
  t.deepEqual(paths(), [
    `${transaction} > ${transaction} > a`,
    `${transaction} > ${transaction} > ${transaction} > b`,
    `${transaction} > ${transaction} > ${transaction}`,
    `${transaction} > ${transaction} > c`,
    `${transaction} > ${transaction}`,
    `${transaction} > ${transaction} > joined`,
    `${transaction} > ${transaction}`,
    `${transaction} > d`,
    transaction,
  ]);
});

test('transactions side by side are each in the span of their own caller', async (t) => {
  const { pool, inSpan, paths } = await traced(t, { max: 4 });
  const all = gate();
  const branch = (name: string) =>
    inSpan(name, () =>
      pool.read(async () => {
        await all.passed;
        await inSpan(`in ${name}`, () => {});
      }),
    );
  const running = ['a', 'b', 'c'].map(branch);
  await settled();
  all.open();
  await Promise.all(running);
  for (const name of ['a', 'b', 'c']) t.true(paths().includes(`${name} > ${transaction} > in ${name}`), name);
});

test('the span of a transaction says of which pool, lease and connection it is, how it began and for whom', async (t) => {
  const { pool, transactions } = await traced(t, { name: 'orders' });
  await pool.transaction(() => {}, { label: 'POST /order' });
  await pool.withConnection(
    async () => {
      await pool.transaction(() => {}, { mode: 'exclusive' });
      await pool.read(() => {});
    },
    { label: 'GET /report' },
  );
  const [unbound, bound, read] = transactions().map(({ attributes }) => attributes);
  const { 'leasehold.wait_time': waited, ...attributes } = unbound ?? {};
  t.deepEqual(attributes, {
    'db.client.connection.pool.name': 'orders',
    'leasehold.label': 'POST /order',
    // The first lease made the table, the second warmed the pool.
    'leasehold.lease': 3,
    'leasehold.connection': 1,
    'leasehold.transaction.mode': 'immediate',
    'leasehold.transaction.attempts': 1,
  });
  t.true(typeof waited === 'number' && waited >= 0);
  const scope = bound?.['leasehold.scope'];
  t.is(typeof scope, 'number');
  const common = {
    'leasehold.label': 'GET /report',
    'leasehold.scope': scope,
    'leasehold.lease': 4,
    'leasehold.connection': 2,
  };
  t.like(bound, { ...common, 'leasehold.transaction.mode': 'exclusive' });
  t.like(read, { ...common, 'leasehold.transaction.mode': 'read' });
});

test('a transaction that waits for its turn is one span, which has its wait in it', async (t) => {
  const { pool, inSpan, transactions, paths } = await traced(t);
  const open = gate();
  const first = pool.transaction(() => open.passed);
  await settled();
  const second = inSpan('second', () => pool.transaction(() => inSpan('x', () => {})));
  await setTimeout(20);
  open.open();
  await Promise.all([first, second]);
  t.true(paths().includes(`second > ${transaction} > x`));
  const span = transactions().find(({ parentSpanContext }) => parentSpanContext !== undefined);
  const waited = Number(span?.attributes['leasehold.wait_time']);
  const took = (span?.duration[0] ?? 0) + (span?.duration[1] ?? 0) / 1e9;
  t.true(waited >= 0.018, `${waited}`);
  t.true(took >= 0.018, `${took}`);
});

class CodedError extends Error {
  readonly code = 'E_FULL';
}

const failures: readonly (readonly [what: string, thrown: unknown, type: string, message?: string])[] = [
  // What others say may have a bound value in it.
  ['an error', new TypeError('no such item'), 'TypeError'],
  ['an error with a code', new CodedError('no room'), 'E_FULL'],
  ['an error of Leasehold', new ClosedError('other'), 'ERR_LEASEHOLD_CLOSED', 'Pool "other" is closed.'],
  // It may be anything, also what can not be made a text.
  ...[undefined, null, 'swordfish', Object.create(null), Symbol('swordfish')].map(
    (thrown) => [`${thrown === null ? 'null' : typeof thrown} that is no error`, thrown, '_OTHER'] as const,
  ),
];

for (const [what, thrown, type, message] of failures) {
  test(`${what}, thrown by a transaction, shows in its span, and passes through unchanged`, async (t) => {
    const { pool, transactions } = await traced(t);
    const reached = await pool
      .transaction(async (tx) => {
        insert(tx, 'bolt');
        await settled();
        throw thrown;
      })
      .catch((error: unknown) => error);
    t.is(reached, thrown);
    t.deepEqual(await namesIn(pool), []);
    const [span] = transactions();
    t.deepEqual(span?.status, { code: SpanStatusCode.ERROR, message: message ?? type });
    t.is(span?.attributes['error.type'], type);
    t.is(span?.events.length, 1);
    t.is(span?.events[0]?.name, 'exception');
    t.is(span?.events[0]?.attributes?.['exception.message'], message);
  });
}

test('an error whose code is not set is told by its name', async (t) => {
  const { pool, transactions } = await traced(t);
  const error = Object.assign(new RangeError('no'), { code: undefined });
  await t.throwsAsync(pool.transaction(() => Promise.reject(error)));
  t.is(transactions()[0]?.attributes['error.type'], 'RangeError');
});

test('errors of SQLite and of Leasehold are told by their code', async (t) => {
  const { pool, transactions, inSpan } = await traced(t);
  await pool.run('CREATE UNIQUE INDEX name ON item (name)');
  const types = () => transactions().map(({ attributes }) => attributes['error.type']);
  await t.throwsAsync(
    pool.transaction((tx) => {
      insert(tx, 'bolt');
      insert(tx, 'bolt');
    }),
  );
  const writer = await pool.acquire({ write: true });
  await t.throwsAsync(pool.transaction(() => {}, { timeout: 1 }));
  const controller = new AbortController();
  const aborted = inSpan('GET /', () => pool.transaction(() => {}, { signal: controller.signal }));
  await settled();
  controller.abort();
  await t.throwsAsync(aborted);
  writer.close();
  await t.throwsAsync(pool.read(() => pool.transaction(() => {})));
  t.deepEqual(types(), [
    'SQLITE_CONSTRAINT_UNIQUE',
    'ERR_LEASEHOLD_WRITE_TIMEOUT',
    'ABORT_ERR',
    'ERR_LEASEHOLD_READ_ONLY',
    'ERR_LEASEHOLD_READ_ONLY',
  ]);
  t.deepEqual(
    transactions().map(({ attributes }) => attributes['leasehold.transaction.attempts']),
    [1, 0, 0, 0, 1],
    'how often the function was called',
  );
});

test('a savepoint that fails does not fail the span of the transaction that goes on', async (t) => {
  const { pool, transactions } = await traced(t);
  await pool.transaction(async (tx) => {
    await t.throwsAsync(pool.transaction(() => Promise.reject(new Error('no'))));
    insert(tx, 'bolt');
  });
  t.deepEqual(
    transactions().map(({ status }) => status.code),
    [SpanStatusCode.ERROR, SpanStatusCode.UNSET],
  );
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('a transaction that is run again is one span, which says how often', async (t) => {
  const { pool, transactions, paths, inSpan } = await traced(t);
  const other = rawDatabase(t, pool.db.name, { timeout: 0 });
  let runs = 0;
  await pool.transaction(
    async (tx) => {
      tx.prepare('SELECT count(*) FROM item').get();
      if (++runs < 3) other.exec("INSERT INTO item VALUES ('other')");
      await inSpan(`run ${runs}`, () => {});
      insert(tx, 'own');
    },
    { mode: 'deferred', retries: 5 },
  );
  t.deepEqual(paths(), [...[1, 2, 3].map((run) => `${transaction} > run ${run}`), transaction]);
  const [span] = transactions();
  t.is(span?.attributes['leasehold.transaction.attempts'], 3);
  t.is(span?.status.code, SpanStatusCode.UNSET);
  t.deepEqual(await namesIn(pool), ['other', 'other', 'own']);
});

test('a synchronous transaction function has no span: nothing can come between', async (t) => {
  const { pool, transactions } = await traced(t);
  await pool.withConnection((db) => db.transaction(() => insert(db, 'bolt'))());
  t.deepEqual(transactions(), []);
  t.deepEqual(await namesIn(pool), ['bolt']);
});

test('no other pool has spans, and pools that have nest in each other', async (t) => {
  const { pool, tracerProvider, paths, spans } = await traced(t, { name: 'app' });
  const silent = await openItems(t, { name: 'app' });
  const other = await openItems(t, { name: 'other' });
  const watch = instrument(other, { tracerProvider });
  await silent.transaction(() => pool.transaction(() => silent.read(() => other.transaction(() => {}))));
  t.deepEqual(paths(), [`${transaction} > ${transaction}`, transaction]);
  t.deepEqual(
    spans().map(({ attributes }) => attributes['db.client.connection.pool.name']),
    ['other', 'app'],
  );
  watch.stop();
});
