import type { LeasedDatabase } from '../../lib/index.ts';
import { sql } from './bank.ts';
import type { Operation } from './operation.ts';
import type { Part } from './plans.ts';

/** One transfer in one transaction, by each way there is to one. */
export async function transfer(operation: Operation): Promise<void> {
  const { plan, pool } = operation;
  const [part] = plan.parts;
  const isLane = plan.place !== 'bound' && plan.place !== 'handle';
  const body = (tx: LeasedDatabase): Promise<void> =>
    operation.writes(tx, async () => {
      await operation.move(tx, part);
      operation.throwIfPlanned();
    });
  const occupying = (tx: LeasedDatabase): Promise<void> =>
    operation.occupy(plan.pool, tx, isLane, async (check) => {
      await body(tx);
      check();
    });
  const transaction = (inside: (tx: LeasedDatabase) => Promise<void>): Promise<void> =>
    operation.settles(
      [part.number],
      operation.waits((options, granted) =>
        pool.transaction(
          (tx) => {
            granted();
            return inside(tx);
          },
          { ...options, mode: plan.mode },
        ),
      ),
    );
  switch (plan.place) {
    case 'alone':
      return transaction(occupying);
    case 'scope':
      return pool.withScope(() => transaction(occupying), { label: operation.label });
    case 'bound':
      return operation.waits((options, granted) =>
        pool.withConnection((db) => {
          granted();
          return operation.occupy(plan.pool, db, false, () => transaction(body));
        }, options),
      );
    case 'write scope':
      return operation.waits((options, granted) =>
        pool.withConnection(
          (db) => {
            granted();
            return operation.occupy(plan.pool, db, true, () => transaction(body));
          },
          { ...options, write: true },
        ),
      );
    case 'handle': {
      await using db = await operation.waits(async (options, granted) => {
        const acquired = await pool.acquire(options);
        granted();
        return acquired;
      });
      return await operation.occupy(plan.pool, db, false, () => {
        const run = db.transaction(async () => body(db));
        return operation.settles([part.number], plan.mode === 'exclusive' ? run.exclusive() : run());
      });
    }
    case 'open':
      return operation.settles([part.number], openly(operation, occupying));
  }
}

async function openly(operation: Operation, inside: (tx: LeasedDatabase) => Promise<void>): Promise<void> {
  const { plan, pool } = operation;
  const open = await operation.waits(async (options, granted) => {
    const { begun } = pool.openTransaction({ ...options, mode: plan.mode });
    const opened = await begun;
    granted();
    return opened;
  });
  try {
    await open.run(inside);
  } catch (error) {
    await open.rollback();
    throw error;
  }
  await open.commit();
}

/** Several transfers in one transaction, each a part of it that may fail alone, one after the other or side by side. */
export async function nested(operation: Operation): Promise<void> {
  const { plan, pool } = operation;
  const kept: number[] = [];
  const undone: number[] = [];
  // Those that join share its statements: side by side one would read what another is about to change.
  const nestingOf = (part: Part) => (plan.parallel ? 'savepoint' : part.nesting);
  const run = async (part: Part): Promise<void> => {
    const nesting = nestingOf(part);
    const inner = async (tx: LeasedDatabase): Promise<void> => {
      await operation.move(tx, part);
      operation.throwIfPlanned(part.throws);
    };
    try {
      await pool.transaction(inner, { nesting });
      kept.push(part.number);
    } catch (error) {
      undone.push(part.number);
      if (nesting === 'join') operation.joinFailed = true;
      throw error;
    }
  };
  const body = async (tx: LeasedDatabase): Promise<void> => {
    await operation.writes(tx, async () => {
      if (plan.parallel) await operation.all(plan.parts.map(run));
      else for (const part of plan.parts) await operation.all([run(part)]);
      operation.throwIfPlanned();
    });
  };
  const place = plan.place === 'bound' || plan.place === 'handle';
  const whole = (): Promise<void> =>
    operation.waits((options, granted) =>
      pool.transaction(
        (tx) => {
          granted();
          return place ? body(tx) : operation.occupy(plan.pool, tx, true, () => body(tx));
        },
        { ...options, mode: plan.mode },
      ),
    );
  const bound = (): Promise<void> =>
    operation.waits((options, granted) =>
      pool.withConnection((db) => {
        granted();
        return operation.occupy(plan.pool, db, false, told);
      }, options),
    );
  const told = async (): Promise<void> => {
    try {
      await whole();
    } catch (error) {
      operation.world.outcome(false, [...kept, ...undone]);
      throw error;
    }
    operation.world.outcome(true, kept);
    operation.world.outcome(false, undone);
  };
  return place ? bound() : told();
}

/** A transaction on a connection of its own inside a snapshot, which sees nothing of it; inside a writer it is refused. */
export async function separate(operation: Operation): Promise<void> {
  const { plan, pool } = operation;
  const [part] = plan.parts;
  const beside = (): Promise<void> =>
    pool.transaction(
      (tx) =>
        operation.occupy(plan.pool, tx, true, () =>
          operation.writes(tx, async () => {
            await operation.move(tx, part);
            operation.throwIfPlanned();
          }),
        ),
      { nesting: 'separate', label: operation.label },
    );
  if (plan.variant < 30) {
    return operation.waits((options, granted) =>
      pool.transaction(async () => {
        granted();
        await operation.refused('a separate writer inside a writer', beside, ['ERR_LEASEHOLD_WRITE_LOCKED']);
        operation.world.outcome(false, [part.number]);
      }, options),
    );
  }
  return operation.waits((options, granted) =>
    pool.read(async (db) => {
      granted();
      const look = () => [db.prepare(sql.total).pluck().get(), db.prepare(sql.balance).pluck().get(part.source)].join();
      const before = look();
      await operation.all([operation.settles([part.number], beside())]);
      const after = look();
      operation.world.check(
        'money',
        before === after ? undefined : `${operation.name}: a snapshot was ${before} and is ${after}`,
      );
    }, options),
  );
}

/** What writes synchronously, and so may meet the lock of another process, or a writer of this one. */
export async function synchronous(operation: Operation): Promise<void> {
  const { plan, world } = operation;
  const pool = world.pools.quick;
  const [part] = plan.parts;
  const once = (db: LeasedDatabase) =>
    db.transaction(() => {
      operation.moveAtOnce(db, part);
      operation.throwIfPlanned();
    });
  const deciding = (): Promise<void> => {
    const { label, signal } = operation;
    if (plan.variant < 25)
      return pool.withConnection((db) => operation.direct(() => once(db).deferred()), { label, signal });
    if (plan.variant < 55)
      return pool.withConnection((db) => operation.direct(() => once(db).immediate()), { label, signal, write: true });
    if (plan.variant < 75) return byHand(operation);
    // Its first write takes the lock, which somebody may have, or somebody may have written since it has read.
    return pool.transaction((tx) => operation.move(tx, part), { label, signal, mode: 'deferred', retries: 2 });
  };
  await operation.settles([part.number], deciding());
}

/** A transaction begun and ended by SQL. */
async function byHand(operation: Operation): Promise<void> {
  const { plan, world } = operation;
  const [part] = plan.parts;
  await using db = await world.pools.quick.acquire({ label: operation.label, signal: operation.signal });
  await operation.occupy('quick', db, false, async () => {
    operation.direct(() => db.exec('BEGIN IMMEDIATE'));
    await operation.writes(db, async () => {
      await operation.move(db, part);
      if (plan.throws) {
        // Left open: it goes with the lease.
        operation.throwIfPlanned();
      }
      db.exec('COMMIT');
    });
  });
}

/** One statement that writes, in its turn. */
export async function statement(operation: Operation): Promise<void> {
  const { plan, pool } = operation;
  const [{ number, source }] = plan.parts;
  const values = operation.note({ number, source, target: source, amount: 0 });
  // By itself, or on the connection of a scope: how long it waits shows only at its end.
  const run = () =>
    operation.settles(
      [number],
      operation.waits((options) => pool.run(sql.note, values, options)),
    );
  if (plan.variant < 50) await run();
  else
    await operation.waits((options, granted) =>
      pool.withConnection((db) => {
        granted();
        return operation.occupy(plan.pool, db, false, run);
      }, options),
    );
}
