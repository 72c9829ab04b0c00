import type { PostgresPool } from '../../../lib/postgres.ts';
import type { Random } from '../../soak/random.ts';
import { type Bank, move, total } from './bank.ts';
import type { Findings } from './findings.ts';
import type { Stalls } from './stalls.ts';

/** What a worker works with. */
export interface Site {
  readonly pool: PostgresPool;
  readonly bank: Bank;
  readonly findings: Findings;
  readonly stalls: Stalls;
  /** By how much the latest waiter was late, beyond what the event loop was. */
  latest: number;
  /** Told of the session of a transfer that is about to be committed. */
  onCommit: ((pid: number | undefined) => void) | undefined;
}

// What a timer, and the code between it and whoever looks at the clock, may take beside the stalls of the loop.
const tolerance = 25;

const weights = {
  transfer: 8,
  scope: 4,
  audit: 3,
  query: 6,
  cursor: 3,
  acquire: 5,
  abortedAcquire: 2,
  abortedQuery: 2,
  dropped: 1,
} as const;

type Work = (site: Site, random: Random) => Promise<void>;

/** Does one thing, and says whether it went well. Whatever else comes of it is known, or a violation. */
export async function doSomething(site: Site, random: Random): Promise<boolean> {
  const name = random.weighted(weights);
  try {
    await works[name](site, random);
    return true;
  } catch (error) {
    site.findings.note(error, name);
    return false;
  }
}

const labelled = (label: keyof typeof weights) => ({ label });

const works: Readonly<Record<keyof typeof weights, Work>> = {
  async transfer(site, random) {
    const isolation = random.pick(['read committed', 'serializable'] as const);
    const abort = random.chance(0.1) ? abortAfter(random.integer(0, 30)) : undefined;
    await settle(site, random, (run) =>
      site.pool.transaction(run, { label: 'transfer', isolation, retries: 3, ...(abort && { signal: abort.signal }) }),
    );
    abort?.done();
  },

  /** A request: a connection for all it does, a savepoint that fails, and one that does not. */
  async scope(site, random) {
    const { pool } = site;
    await pool.withConnection(async (db) => {
      await db.query("SET application_name = 'storm'");
      await settle(site, random, (run) =>
        pool.transaction(async (tx) => {
          await ignored(
            pool.transaction((part) => part.query('SELECT 1 / 0')),
            '22012',
          );
          await pool.transaction(() => run(tx));
        }),
      );
    }, labelled('scope'));
  },

  async audit({ pool, findings }) {
    const sum = await pool.read(async (db) => {
      await db.query('SELECT 1');
      return (await db.query<{ sum: number }>('SELECT sum(balance)::int FROM account')).rows[0]?.sum;
    }, labelled('audit'));
    if (sum !== total) findings.violate(`money: ${sum} of ${total} in a snapshot`);
  },

  async query({ pool, findings }, random) {
    const asked = random.integer(0, 1000);
    const { rows } = await pool.query<{ answer: number }>('SELECT $1::int AS answer', [asked]);
    if (rows[0]?.answer !== asked) findings.violate(`answers: ${rows[0]?.answer} to somebody who asked for ${asked}`);
  },

  async cursor({ pool, findings }, random) {
    const last = random.integer(1, 300);
    await pool.withConnection(async (db) => {
      let expected = 1;
      for await (const { n } of db.iterate<{ n: number }>('SELECT generate_series(1, 300) AS n', [], { batch: 50 })) {
        if (n !== expected++) findings.violate(`cursor: row ${n} in place of ${expected - 1}`);
        if (n === last) break;
      }
    }, labelled('cursor'));
  },

  async acquire(site, random) {
    const timeout = random.integer(5, 200);
    const deadline = performance.now() + timeout;
    try {
      const db = await site.pool.acquire({ label: 'acquire', timeout });
      judge(site, deadline, 'got a connection');
      try {
        await db.query('SELECT pg_sleep($1)', [random.integer(0, 10) / 1000]);
      } finally {
        await db[Symbol.asyncDispose]();
      }
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT') judge(site, deadline, 'was refused');
      throw error;
    }
  },

  async abortedAcquire({ pool }, random) {
    const abort = abortAfter(random.integer(0, 20));
    try {
      const db = await pool.acquire({ label: 'abortedAcquire', signal: abort.signal });
      db.release();
    } finally {
      abort.done();
    }
  },

  async abortedQuery({ pool }, random) {
    const abort = abortAfter(random.integer(0, 20));
    try {
      await pool.withConnection(async (db) => {
        await ignored(db.query({ text: 'SELECT pg_sleep(0.02)', signal: abort.signal }), 'ABORT_ERR');
        await db.query('SELECT 1');
      }, labelled('abortedQuery'));
    } finally {
      abort.done();
    }
  },

  /** A lease that comes back while something runs on it, or with a transaction begun by SQL. */
  async dropped({ pool, findings }, random) {
    const db = await pool.acquire(labelled('dropped'));
    if (random.chance(0.5))
      await db.query('BEGIN; CREATE TEMP TABLE mine ()').catch((error) => findings.note(error, 'begin'));
    db.query('SELECT pg_sleep(1)').catch((error: unknown) => findings.note(error, 'left behind'));
    db.release();
  },
};

/** Runs a transaction around a transfer, and writes down what was said of it. */
async function settle(
  site: Site,
  random: Random,
  begin: (run: (tx: Parameters<typeof move>[0]) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  const { bank } = site;
  const transfer = bank.transfer(random);
  const fails = random.chance(0.1);
  const failure = Object.assign(new Error('It was not meant'), { code: 'FAILS' });
  bank.told.set(transfer.id, 'failed');
  try {
    await begin(async (tx) => {
      const pid = await move(tx, transfer);
      if (fails) throw failure;
      site.onCommit?.(pid);
    });
    bank.told.set(transfer.id, 'committed');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_LEASEHOLD_COMMIT_UNKNOWN') bank.told.set(transfer.id, 'unknown');
    if (error !== failure) throw error;
  }
}

function judge(site: Site, deadline: number, what: string): void {
  const late = performance.now() - deadline - site.stalls.since(deadline);
  site.latest = Math.max(site.latest, late);
  if (late > tolerance) site.findings.violate(`deadlines: a waiter ${what} ${Math.round(late)} ms too late`);
}

async function ignored(promise: Promise<unknown>, code: string): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if ((error as { code?: unknown }).code !== code) throw error;
  }
}

function abortAfter(delay: number): { readonly signal: AbortSignal; done(): void } {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), delay);
  return { signal: abort.signal, done: () => clearTimeout(timer) };
}
