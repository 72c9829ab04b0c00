import { setTimeout as sleep } from 'node:timers/promises';
import { settled } from '../support/gate.ts';
import { type ContractHandle, type ContractPool, contractOf, Enough, release, type Subject } from './subject.ts';

const calls = 500;

/** Numbers from 0 to 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Terms {
  readonly signal: AbortSignal;
  readonly timeout: number;
  readonly priority: number;
  readonly label: string;
}

/** Everything at once, much of which is broken off. */
export function testStorm<Db extends ContractHandle>(subject: Subject<Db>): void {
  const { insert, names, test, open, committed } = contractOf(subject);

  test(`${calls} mixed calls that are aborted, late, careless or throw lose neither a slot nor a row`, async (t) => {
    const seed = Math.trunc(Math.random() * 2 ** 31);
    const random = randomFrom(seed);
    const pool = await open(t, { max: 4 });
    /** Names of transactions that were said to be committed. */
    const kept: string[] = [];
    const outcomes = new Map<string, number>();
    const linger = () => (random() < 0.5 ? settled() : sleep(random() * 5));
    const maybeThrow = () => {
      if (random() < 0.2) throw new Enough();
    };

    const write = async (name: string, terms: Partial<Terms>, nested: boolean) => {
      await pool.transaction(async (tx) => {
        await insert(tx, name);
        await linger();
        if (nested) {
          const part = async () => {
            await insert(tx, `${name} undone`);
            await linger();
            throw new Enough();
          };
          await pool.transaction(part).catch((error: unknown) => {
            if (!(error instanceof Enough)) throw error;
          });
        }
        maybeThrow();
      }, terms);
      kept.push(name);
    };

    const kinds: ((name: string, terms: Terms) => Promise<unknown>)[] = [
      (name, terms) => write(name, terms, false),
      (name, terms) => write(name, terms, true),
      (name, terms) =>
        pool.withConnection(async (db) => {
          await names(db);
          await linger();
          await write(name, { timeout: terms.timeout }, random() < 0.5);
          maybeThrow();
        }, terms),
      (_, terms) =>
        pool.read(async (db) => {
          const before = await names(db);
          await linger();
          t.deepEqual(await names(db), before);
          maybeThrow();
        }, terms),
      (name, { label, signal, timeout }) =>
        pool.withScope(
          async () => {
            const db = await pool.connection({ timeout });
            await Promise.all([write(`${name} a`, { timeout }, false), write(`${name} b`, { timeout }, true)]);
            await names(db);
          },
          { label, signal },
        ),
      async (_, terms) => {
        await using db = await pool.acquire(terms);
        await subject.begin(db);
        await names(db);
        await linger();
        maybeThrow();
        await release(db);
        await subject.releaseAgain(db);
      },
      async (_, terms) => {
        await using db = await pool.acquire(terms);
        await subject.change(db);
        maybeThrow();
      },
      async (_, terms) => {
        await using db = await pool.acquire(terms);
        if (random() < 0.5) db.discard();
        await subject.fail(db);
      },
      async () => {
        const db = pool.tryAcquire();
        if (db === undefined) return;
        t.false(db.inTransaction, 'nobody gets what another has begun');
        t.false(await subject.isChanged(db));
        await release(db);
      },
      async (name, terms) => {
        const transaction = pool.openTransaction(terms);
        await transaction.begun;
        try {
          await transaction.run((tx) => insert(tx, name));
          await linger();
          maybeThrow();
          await transaction.commit();
        } finally {
          await transaction.rollback();
        }
        kept.push(name);
      },
      // Careless: it leaves behind what waits, and what is under way.
      (_, terms) =>
        pool.withConnection(async (db) => {
          for (const left of [names(db), pool.acquire({ timeout: 50 }).then(release)]) left.catch(() => {});
          await linger();
        }, terms),
    ];

    const call = async (index: number) => {
      const abort = new AbortController();
      if (random() < 0.3) void sleep(random() * 40).then(() => abort.abort());
      const terms = {
        signal: abort.signal,
        timeout: random() < 0.2 ? 1 + random() * 5 : 60_000,
        priority: Math.trunc(random() * 3),
        label: `call ${index}`,
      };
      const kind = kinds[Math.trunc(random() * kinds.length)] as (typeof kinds)[number];
      const outcome = await kind(`${index}`, terms).then(
        () => 'resolved',
        (error: unknown) => (error instanceof Enough ? 'thrown' : String((error as { code?: unknown }).code ?? error)),
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    };

    let next = 0;
    const client = async () => {
      while (next < calls) await call(next++);
    };
    await Promise.all(Array.from({ length: 40 }, client));
    await settle(pool);

    const told = `seed ${seed}, ${JSON.stringify([...outcomes])}`;
    const known = new Set([
      'resolved',
      'thrown',
      'ABORT_ERR',
      subject.refusal.code,
      'ERR_LEASEHOLD_ACQUIRE_TIMEOUT',
      'ERR_LEASEHOLD_WRITE_TIMEOUT',
      'ERR_LEASEHOLD_TRANSACTION_BUSY',
    ]);
    t.deepEqual(
      [...outcomes.keys()].filter((outcome) => !known.has(outcome)),
      [],
      told,
    );
    for (const outcome of ['resolved', 'thrown', 'ABORT_ERR']) t.true((outcomes.get(outcome) ?? 0) > 0, told);
    const { counters, ...gauges } = pool.stats();
    t.like(gauges, { leased: 0, waiting: 0, idle: gauges.size }, told);
    t.is(counters.released, counters.acquired, told);
    t.is(counters.opened - counters.closed, gauges.size, told);
    for (const name of ['dirty', 'doubleReleases', 'discarded', 'timeouts', 'aborted'] as const) {
      t.true(counters[name] > 0, `no ${name}; ${told}`);
    }
    const rows = await committed(pool);
    t.deepEqual(rows.toSorted(), kept.toSorted(), told);
    const all = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
    for (const db of all) {
      t.deepEqual(await names(db), rows);
      t.false(await subject.isChanged(db));
      await release(db);
    }
    pool.assertIdle();
  });
}

/** Waits for what nobody was waiting for: clean-ups, and connections that were opened for somebody who gave up. */
async function settle<Db extends ContractHandle>(pool: ContractPool<Db>): Promise<void> {
  for (;;) {
    const { leased, waiting, idle, size } = pool.stats();
    if (leased === 0 && waiting === 0 && idle === size) return;
    await sleep(1);
  }
}
