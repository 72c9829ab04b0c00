import test, { type ExecutionContext } from 'ava';
import type { SqlitePool } from '../../lib/index.ts';
import { auditedPool } from './fingerprint.ts';
import { leavesNothing, leavings, statements } from './leavings.ts';
import { type Leave, statementWays, type Way, ways } from './ways.ts';

const table = 'temporary table stray';

// A transaction that is rolled back takes its temporary tables with it, and nothing else of all this.
const undoesTables = /rolled back|that fails|nobody ended/;

async function byWay(t: ExecutionContext, name: string, way: Way): Promise<void> {
  const isSnapshot = name === 'a snapshot';
  if (isSnapshot) {
    const making = way(auditedPool(t).pool, (db) => leavings[table]?.(db));
    await t.throwsAsync(making, { code: 'ERR_LEASEHOLD_READ_ONLY' }, 'A snapshot has no temporary tables');
  }
  const left = Object.entries(leavings).filter(([trace]) => !(isSnapshot && trace === table));
  const traces = left.map(([trace]) => trace).filter((trace) => !(undoesTables.test(name) && trace === table));
  const leaveAll: Leave = (db) => {
    for (const [, leave] of left) leave(db);
  };
  await leavesNothing(t, (pool) => way(pool, leaveAll), traces);
}

for (const [name, way] of Object.entries(ways)) {
  test.serial(`what is left by way of ${name} does not reach the next holder`, (t) => byWay(t, name, way));
}

for (const [name, way] of Object.entries(statementWays)) {
  test.serial(`what is left by ${name} does not reach the next holder`, async (t) => {
    for (const [sql, trace] of Object.entries(statements)) await leavesNothing(t, (pool) => way(pool, sql), [trace]);
  });
}

// These refuse what returns no rows. By then a pragma has been set.
const asking: Readonly<Record<string, (pool: SqlitePool, sql: string) => Promise<unknown>>> = {
  'pool.get()': (pool, sql) => pool.get(sql),
  'pool.all()': (pool, sql) => pool.all(sql),
};

for (const [name, ask] of Object.entries(asking)) {
  test.serial(`what is left by ${name} does not reach the next holder, also where the call fails`, async (t) => {
    await leavesNothing(t, (pool) => ask(pool, 'PRAGMA journal_size_limit = 4096'), ['pragma journal_size_limit']);
    const failing = (pool: SqlitePool) =>
      t.throwsAsync(ask(pool, 'PRAGMA cache_size = 321'), { message: /does not return data/ });
    await leavesNothing(t, failing, ['pragma cache_size']);
  });
}
