import type { ExecutionContext } from 'ava';
import type { SqlitePoolOptions } from '../../../lib/index.ts';
import { Monitor } from '../../../lib/inspector/monitor.ts';
import type { InspectedPool } from '../../../lib/inspector/subject.ts';
import type { LeaseDetail, Report } from '../../../lib/inspector/wire.ts';
import { SqlitePool } from '../../../lib/sqlite/pool.ts';
import { FakeClock } from '../../support/clock.ts';
import { temporaryFile } from '../../support/files.ts';
import { Reader } from './reader.ts';

/** Pools that are watched by a clock that stands still. */
export interface Watched {
  readonly clock: FakeClock;
  readonly monitor: Monitor;
  readonly reader: Reader;
  /** What a reader who polls is told now. */
  read(): Reader;
  /** Lets ticks pass, and reads. */
  tick(count?: number): Promise<Reader>;
  detail(lease: number, pool?: number): LeaseDetail | undefined;
}

/** A pool on a file with a table `item (name)`, whose clock stands still. Nobody has a label but who is given one. */
export async function stillPool(
  t: ExecutionContext,
  options?: SqlitePoolOptions,
  clock = new FakeClock(),
  file = temporaryFile(t),
): Promise<SqlitePool> {
  const pool = new SqlitePool(file, { name: 'app', ...options }, clock);
  t.teardown(() => pool.close({ timeout: 0 }));
  // By the first of the ordinary connections: the one of the lane is not open yet.
  await pool.withConnection((db) => db.exec('CREATE TABLE IF NOT EXISTS item (name TEXT UNIQUE)'));
  return pool;
}

export function watch(
  t: ExecutionContext,
  pools: readonly InspectedPool[],
  clock: FakeClock,
  showSql = false,
): Watched {
  const monitor = new Monitor(pools, showSql, clock);
  t.teardown(() => monitor.stop());
  const reader = new Reader();
  const read = () => reader.apply(JSON.parse(monitor.report(reader.place.after)) as Report);
  return {
    clock,
    monitor,
    reader,
    read,
    tick: async (count = 1) => {
      for (let ticks = 0; ticks < count; ticks++) {
        // From timer to timer, wherever in the tick it is.
        const { number } = monitor;
        while (monitor.number === number) await clock.pass(Math.max(clock.next, 0));
        read();
      }
      return reader;
    },
    detail: (lease, pool = reader.state().id) => {
      const text = monitor.detail(pool, lease);
      return text === undefined ? undefined : (JSON.parse(text) as LeaseDetail);
    },
  };
}

/** One pool, watched from before its first lease but for the making of its table. */
export async function watchedPool(
  t: ExecutionContext,
  options?: SqlitePoolOptions,
  showSql = false,
): Promise<Watched & { readonly pool: SqlitePool }> {
  const clock = new FakeClock();
  const pool = await stillPool(t, options, clock);
  const watched = watch(t, [pool], clock, showSql);
  watched.read();
  return { ...watched, pool };
}

/** How long spans are, without when. */
export function lengths(spans: readonly (readonly [number, number])[]): number[] {
  return spans.map(([from, to]) => Math.round((to - from) * 100) / 100);
}
