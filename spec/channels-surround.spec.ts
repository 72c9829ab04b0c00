import test, { type ExecutionContext } from 'ava';
import { acquires, type PoolMessage, type Surround, Tracing } from '../lib/channels.ts';
import type { AcquireMessage } from '../lib/index.ts';
import { fakePool } from './support/driver.ts';
import { gate, settled } from './support/gate.ts';

// What runs around what is traced has an outcome to pass through that is not its own.

// A channel of its own for each, because channels belong to the process.
let lastChannel = 0;

interface Message extends PoolMessage {
  error?: unknown;
}

function newMessage(): Message {
  return { pool: 'app', poolId: 1 };
}

function traced() {
  const tracing = new Tracing<Message>(`leasehold:spec:${++lastChannel}`);
  const log: string[] = [];
  const surround =
    (name: string): Surround<Message> =>
    async (_, run) => {
      log.push(`${name} before`);
      try {
        await run();
      } finally {
        log.push(`${name} after`);
      }
    };
  const run =
    (result: string, during: () => unknown = () => {}) =>
    async () => {
      log.push(result);
      await during();
      return result;
    };
  return { tracing, log, surround, run };
}

test('several surrounds run around one another, each once, until they are taken out', async (t) => {
  const { tracing, log, surround, run } = traced();
  t.false(tracing.isActive);
  const ends = ['a', 'b'].map((name) => tracing.surround(surround(name)));
  t.true(tracing.isActive);
  t.is(await tracing.trace(newMessage(), run('result')), 'result');
  t.deepEqual(log.splice(0), ['b before', 'a before', 'result', 'a after', 'b after']);
  ends[0]?.();
  ends[0]?.();
  t.is(await tracing.trace(newMessage(), run('next')), 'next');
  t.deepEqual(log.splice(0), ['b before', 'next', 'b after']);
  ends[1]?.();
  t.false(tracing.isActive);
  t.is(await tracing.trace(newMessage(), run('last')), 'last');
  t.deepEqual(log, ['last']);
});

test('a surround sees the error of what it is around in the message, and the caller gets that very error', async (t) => {
  const { tracing, surround } = traced();
  tracing.surround(surround('a'));
  const seen: unknown[] = [];
  const error = new Error('refused');
  tracing.surround(async (of, run) => {
    await run().catch(() => {});
    seen.push(of.error);
    throw of.error;
  });
  t.is(await t.throwsAsync(tracing.trace(newMessage(), () => Promise.reject(error))), error);
  t.deepEqual(seen, [error]);
});

test('surrounds that come and go in the middle of a trace change nothing of it', async (t) => {
  const { tracing, log, surround, run } = traced();
  const middle = gate();
  const end = tracing.surround(surround('first'));
  const result = tracing.trace(
    newMessage(),
    run('result', () => middle.passed),
  );
  await settled();
  end();
  tracing.surround(surround('second'));
  middle.open();
  t.is(await result, 'result');
  t.deepEqual(log.splice(0), ['first before', 'result', 'first after']);
  await tracing.trace(newMessage(), run('next'));
  t.deepEqual(log, ['second before', 'next', 'second after']);
});

test('a surround that is taken out and one that is added as a trace begins change nothing of it', async (t) => {
  const { tracing, log, surround, run } = traced();
  const inner = tracing.surround(surround('inner'));
  tracing.surround(async (_, step) => {
    inner();
    tracing.surround(surround('new'));
    await step();
  });
  t.is(await tracing.trace(newMessage(), run('result')), 'result');
  t.deepEqual(log, ['inner before', 'result', 'inner after']);
});

test('a surround that throws before what it is around does not keep that from being done, once', async (t) => {
  const { tracing, log, surround, run } = traced();
  tracing.surround(surround('a'));
  tracing.surround(() => Promise.reject(new Error('no span')));
  t.is(await tracing.trace(newMessage(), run('result')), 'result');
  t.deepEqual(log, ['result']);
});

test('a surround that never calls what it is around does not keep that from being done', async (t) => {
  const { tracing, log, run } = traced();
  tracing.surround(async () => {});
  t.is(await tracing.trace(newMessage(), run('result')), 'result');
  t.deepEqual(log, ['result']);
});

test('a surround that throws after what it is around does not take the result away', async (t) => {
  const { tracing, log, surround, run } = traced();
  tracing.surround(surround('a'));
  tracing.surround(async (_, step) => {
    await step();
    throw new Error('no end of the span');
  });
  t.is(await tracing.trace(newMessage(), run('result')), 'result');
  t.deepEqual(log, ['a before', 'result', 'a after']);
});

test('a surround that throws after a failure, or keeps it to itself, does not take the error away', async (t) => {
  const surrounds: readonly Surround<Message>[] = [
    async (_, step) => {
      await step().catch(() => {});
      throw new Error('no end of the span');
    },
    (_, step) => step().catch(() => {}),
  ];
  for (const surround of surrounds) {
    const { tracing } = traced();
    tracing.surround(surround);
    const error = new Error('refused');
    t.is(await t.throwsAsync(tracing.trace(newMessage(), () => Promise.reject(error))), error);
  }
});

/** A surround of all acquires in the process, for those of one pool. */
function surroundAcquires(
  t: ExecutionContext,
  pool: { readonly id: number },
  surround: Surround<AcquireMessage>,
): void {
  t.teardown(acquires.surround((message, run) => (message.poolId === pool.id ? surround(message, run) : run())));
}

test.serial('an acquire goes on where a surround throws before it', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  surroundAcquires(t, pool, () => Promise.reject(new Error('no span')));
  await (await pool.acquire()).release();
  t.is(await pool.withConnection(() => 'done'), 'done');
  t.like(pool.stats(), { leased: 0, waiting: 0, counters: { acquired: 2, released: 2 } });
});

test.serial('no lease is lost where a surround throws after it was taken', async (t) => {
  const { pool } = fakePool(t, { max: 1 });
  surroundAcquires(t, pool, async (_, run) => {
    await run();
    throw new Error('no end of the span');
  });
  t.is(await pool.withConnection((db) => db.use()), 1);
  await (await pool.acquire()).release();
  pool.assertIdle();
});
