import type { LeasedDatabase } from '../../lib/index.ts';
import { sql, total } from './bank.ts';
import type { Operation } from './operation.ts';

/** The sum of all accounts in one snapshot: always the same, whoever is moving money. */
export async function audit(operation: Operation): Promise<void> {
  const { plan, pool, world } = operation;
  await operation.waits((options, granted) =>
    pool.read((db) => {
      granted();
      return operation.occupy(plan.pool, db, false, async () => {
        for (const pause of [0, 1, 2] as const) {
          const sum = db.prepare(sql.total).pluck().get();
          world.check('money', sum === total ? undefined : `${operation.name} found ${String(sum)} of ${total}`);
          await operation.pause(pause);
        }
      });
    }, options),
  );
  world.counts.audits++;
}

/** Scopes in scopes: who shares a connection with whom, and who has one of his own. */
export async function reading(operation: Operation): Promise<void> {
  const { plan, pool, world, label, name } = operation;
  const same = (what: string, holds: boolean): void =>
    world.check('exclusive', holds ? undefined : `${name}: ${what} is not as it should be`);
  const fresh = (): Promise<void> =>
    pool.withConnection(
      (db) => {
        same('pool.current in a fresh scope', pool.current === db);
        return operation.occupy(plan.pool, db, false, () => operation.pause(2));
      },
      { fresh: true, label },
    );
  const inside = async (outer: LeasedDatabase, check: () => void): Promise<void> => {
    const count = pool.db.prepare<[], number>('SELECT count(*) FROM account').pluck();
    count.get();
    await operation.pause(0);
    await pool.withConnection((db) =>
      same('a nested withConnection', !outer.open || (db === outer && pool.current === outer)),
    );
    check();
    if (plan.variant % 3 === 0) await operation.all([fresh()]);
    check();
    const [first] = await pool.all<{ connection: number }>('SELECT soak_connection() AS connection');
    const again = await pool.get<{ connection: number }>('SELECT soak_connection() AS connection');
    // Where it was taken away, each takes one for itself.
    same('the connection of pool.all and pool.get', !outer.open || first?.connection === again?.connection);
    await operation.pause(1);
    count.get();
    operation.throwIfPlanned();
  };
  if (plan.variant < 50) {
    return operation.waits((options, granted) =>
      pool.withConnection((db) => {
        granted();
        return operation.occupy(plan.pool, db, false, (check) => inside(db, check));
      }, options),
    );
  }
  return pool.withScope(
    async () => {
      same('a scope that holds nothing', pool.current === undefined);
      await pool.get('SELECT 1');
      const db = await operation.waits(async (options, granted) => {
        const bound = await pool.connection(options);
        granted();
        return bound;
      });
      await operation.occupy(plan.pool, db, false, (check) => inside(db, check));
    },
    { label },
  );
}

/** A lease of one's own, and what becomes of a handle when it is over. */
export async function explicit(operation: Operation): Promise<void> {
  const { plan, pool, world } = operation;
  const immediate = plan.variant < 30 ? pool.tryAcquire({ label: operation.label }) : undefined;
  const db =
    immediate ??
    (await operation.waits(async (options, granted) => {
      const acquired = await pool.acquire(options);
      granted();
      return acquired;
    }));
  try {
    world.check('exclusive', tracesOn(db));
    await operation.occupy(plan.pool, db, false, async (check) => {
      await operation.pause(0);
      check();
      await operation.pause(1);
    });
    if (plan.variant % 10 === 0) db.discard();
  } finally {
    db.close();
  }
  if (plan.variant % 4 === 0) db.close();
  await operation.refused('a handle that was closed', () => db.prepare('SELECT 1'), ['ERR_LEASEHOLD_RELEASED']);
}

/** What the last holder of a connection has left on it: nothing. */
function tracesOn(db: LeasedDatabase): string | undefined {
  const found: string[] = [];
  if (db.inTransaction) found.push('a transaction');
  const one = (text: string): unknown => db.prepare(text).pluck().get();
  if (one("SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')") !== 0)
    found.push('an attached database');
  if (one("SELECT count(*) FROM pragma_function_list WHERE name = 'soak_stray'") !== 0) found.push('a function');
  if (one('PRAGMA cache_spill') === strayCacheSpill) found.push('a pragma');
  if (
    one("SELECT count(*) FROM pragma_database_list WHERE name = 'temp'") !== 0 &&
    one('SELECT count(*) FROM temp.sqlite_schema') !== 0
  )
    found.push('a temporary table');
  return found.length === 0 ? undefined : `a new holder found ${found.join(', ')} of the last one`;
}

/** As nobody sets it but operations that leave something behind. */
export const strayCacheSpill = 7777;

/** Many at once who want little: some find the queue full. */
export async function burst(operation: Operation): Promise<void> {
  const { pool, world } = operation;
  const one = () =>
    operation.waits(async (options) => {
      const sum = await pool.get<{ sum: number }>('SELECT sum(balance) AS sum FROM account', [], options);
      world.check('money', sum?.sum === total ? undefined : `${operation.name} found ${sum?.sum} of ${total}`);
    });
  await operation.all(Array.from({ length: 45 }, one));
}
