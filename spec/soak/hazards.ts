import type { CheckpointMode, LeasedDatabase, SqlitePool } from '../../lib/index.ts';
import { sql } from './bank.ts';
import type { Operation } from './operation.ts';
import { strayCacheSpill } from './readings.ts';
import { overdueAge } from './world.ts';

/** A holder that leaves something on its connection. */
export async function leftovers(operation: Operation): Promise<void> {
  const { plan, world, label, signal } = operation;
  const [{ number, source }] = plan.parts;
  if (plan.variant < 40) {
    const body = async (db: LeasedDatabase): Promise<void> => {
      operation.direct(() => db.exec('BEGIN IMMEDIATE'));
      db.prepare(sql.note).run(...operation.note({ number, source, target: source, amount: 0 }));
      await operation.pause(0);
    };
    // Nobody commits it.
    try {
      await world.pools.quick.withConnection(body, { label, signal });
    } finally {
      world.outcome(false, [number]);
    }
    return;
  }
  const leave = (db: LeasedDatabase): void => {
    if (plan.variant < 55) db.exec('CREATE TEMP TABLE soak_stray (x)');
    else if (plan.variant < 70) db.function('soak_stray', () => 1);
    else if (plan.variant < 85) db.pragma(`cache_spill = ${strayCacheSpill}`);
    else db.prepare('SELECT * FROM account').iterate().next();
  };
  await operation.waits((options, granted) =>
    operation.pool.withConnection((db) => {
      granted();
      return operation.occupy(plan.pool, db, false, async () => {
        await operation.pause(0);
        leave(db);
      });
    }, options),
  );
}

/** Work that goes on when what it belongs to is over. */
export async function outliving(operation: Operation): Promise<void> {
  const { plan, pool } = operation;
  const [{ number, source }] = plan.parts;
  const over = Promise.withResolvers<void>();
  const ended = ['ERR_LEASEHOLD_SCOPE_ENDED', 'ERR_LEASEHOLD_TRANSACTION_ENDED', 'ERR_LEASEHOLD_RELEASED'];
  const values = operation.note({ number, source, target: source, amount: 0 });
  let late: Promise<void> | undefined;
  const inTransaction = plan.variant < 50;
  const begin = (): void => {
    late = over.promise.then(() =>
      inTransaction
        ? operation.refused('a statement after its transaction', () => pool.run(sql.note, values), ended)
        : operation.refused('pool.db after its scope', () => pool.db.prepare('SELECT 1').get(), ended),
    );
  };
  try {
    await operation.waits((options, granted) => {
      const body = async (): Promise<void> => {
        granted();
        begin();
        await operation.pause(0);
      };
      return inTransaction ? pool.transaction(body, options) : pool.withConnection(body, options);
    });
  } finally {
    over.resolve();
    await late;
    if (inTransaction) operation.world.outcome(false, [number]);
  }
}

/** A lease is watched for being dropped once housekeeping has found it to be a second old. Milliseconds. */
const longestRecovery = 15_000;
const betweenCollections = 100;

/** A lease that is dropped. The garbage collector finds it, and its slot comes back. */
export async function leak(operation: Operation): Promise<void> {
  const { pool, world, label } = operation;
  await drop(operation);
  world.counts.leaks++;
  const isHeld = () => pool.leases().some((lease) => lease.label === label);
  const start = performance.now();
  while (isHeld() && performance.now() - start < longestRecovery) {
    await new Promise((resolve) => {
      setTimeout(resolve, betweenCollections);
    });
    globalThis.gc?.();
  }
  world.check('slots', isHeld() ? `${label}: a lease that was dropped is still held` : undefined);
}

/** By itself, so that nothing of the handle is left on the stack. */
async function drop(operation: Operation): Promise<void> {
  const { plan, pool } = operation;
  const db = await pool.acquire({ label: operation.label });
  await operation.occupy(plan.pool, db, false, () => operation.pause(0));
}

/** Another `max` and `min`. */
export async function resize(operation: Operation): Promise<void> {
  const { plan, pool, world } = operation;
  const max = Math.max(1, world.settings.max + (plan.variant % 5) - 2);
  const min = Math.min(max, plan.variant % 3);
  world.occupancy.limit(plan.pool, max, pool.stats().leased);
  pool.resize({ max, min });
}

const modes: readonly CheckpointMode[] = ['passive', 'full', 'restart', 'truncate'];

/** What somebody does to a pool from outside, in full operation. */
export async function upkeep(operation: Operation): Promise<void> {
  const { plan, pool, world, signal } = operation;
  if (plan.variant < 20) await pool.drain();
  else if (plan.variant < 35) pool.closeIdle();
  else if (plan.variant < 55) pool.closeOverdue(overdueAge);
  else if (plan.variant < 85) await pool.checkpoint(modes[plan.variant % modes.length], { timeout: 200, signal });
  else if (plan.variant < 92) await pool.ready();
  else world.check('slots', leaseFault(pool));
}

function leaseFault(pool: SqlitePool): string | undefined {
  const [listed, counted] = [pool.leases().length, pool.stats().leased];
  return listed === counted ? undefined : `${listed} leases are listed and ${counted} counted`;
}
