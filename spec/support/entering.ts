import { fileURLToPath } from 'node:url';
import { createPool, type LeasedDatabase, type OpenTransaction, type SqlitePool } from '../../lib/index.ts';
import { settled } from './gate.ts';

// What `enter` does depends on how Node carries contexts, so these run in processes of both kinds.

/** A library whose transactions begin in one call and end in another, and whose callbacks know nothing of a handle. */
class Library {
  readonly #pool: SqlitePool;
  readonly #enters: boolean;

  constructor(pool: SqlitePool, { enters = true } = {}) {
    this.#pool = pool;
    this.#enters = enters;
  }

  /** The part of it that its users call. */
  async transaction<Result>(callback: () => Promise<Result>, options?: { timeout?: number }): Promise<Result> {
    // As it waits for its connection.
    await Promise.resolve();
    const tx = await this.#begin(options);
    try {
      const result = await callback();
      await tx.commit();
      return result;
    } catch (error) {
      await tx.rollback();
      if (!this.#enters) throw error;
      // What it does itself from here on is not to commit by itself either.
      check(await refusal(this.#pool.run(insert('late'))), 'TRANSACTION_ENDED');
      throw error;
    }
  }

  /** The part of it that is made for a database. Not an async function, as that of a driver may be one or not. */
  #begin(options: { timeout?: number } | undefined): Promise<OpenTransaction<LeasedDatabase>> {
    const tx = this.#pool.openTransaction(options);
    if (this.#enters) tx.enter();
    return tx.begun;
  }
}

/** The same, for one that enters when it has begun. */
async function enterBegun(pool: SqlitePool, callback: () => Promise<void>): Promise<void> {
  await Promise.resolve();
  const tx = await pool.openTransaction().begun;
  tx.enter();
  await callback();
  await tx.commit();
}

const insert = (name: string) => `INSERT INTO item VALUES ('${name}')`;

async function names(pool: SqlitePool): Promise<string> {
  return (await pool.all<{ name: string }>('SELECT name FROM item ORDER BY name')).map(({ name }) => name).join();
}

/** What a promise is refused with, without what all codes begin with. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing',
    (error: { code: string }) => error.code.replace('ERR_LEASEHOLD_', ''),
  );
}

function check(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${String(actual)} instead of ${String(expected)}`);
}

/** What functions throw that have had enough. */
function enough(): never {
  throw Object.assign(new Error('Enough'), { code: 'ENOUGH' });
}

/** Whether the present code is in a transaction of the pool. */
const isInside = (pool: SqlitePool) => pool.current?.inTransaction === true;

/** Each comes to a list of facts, which the spec knows. */
const enterings: Record<string, (pool: SqlitePool, other: SqlitePool) => Promise<unknown[]>> = {
  async 'the callback is inside, and its caller is not'(pool) {
    const facts: unknown[] = [['before', isInside(pool)]];
    const done = new Library(pool).transaction(async () => {
      const here = [isInside(pool), pool.stats().leased];
      await settled();
      await pool.run(insert('a'));
      await pool.transaction(() => pool.run(insert('b')));
      await refusal(
        pool.transaction(async () => {
          await pool.run(insert('undone'));
          enough();
        }),
      );
      facts.push(['in the callback', ...here, await names(pool)]);
      return 'result';
    });
    const meanwhile = ['meanwhile', isInside(pool), await names(pool), isInside(pool)];
    const result = await done;
    facts.push(meanwhile, ['after', result, isInside(pool), await names(pool)]);
    return facts;
  },

  async 'of two at once each is in its own, and their caller in none'(pool) {
    const library = new Library(pool);
    const facts: unknown[] = [];
    const run = (name: string) =>
      library.transaction(async () => {
        const db = pool.current;
        await pool.run(insert(name));
        await settled();
        return isInside(pool) && pool.current === db && (await names(pool));
      });
    const both = Promise.all([run('a'), run('b')]);
    facts.push(isInside(pool), await both, isInside(pool), await names(pool));
    return facts;
  },

  async 'one that nobody waits for leaves its caller outside'(pool) {
    const library = new Library(pool);
    let done: Promise<unknown> | undefined;
    const start = async () => {
      done = library.transaction(() => pool.run(insert('a')));
      await settled();
      return isInside(pool);
    };
    return [await start(), isInside(pool), (await done) !== undefined, isInside(pool), await names(pool)];
  },

  async 'what is left over of the callback is refused, and does not commit by itself'(pool) {
    let left: Promise<string> | undefined;
    await new Library(pool).transaction(async () => {
      await pool.run(insert('kept'));
      left = (async () => {
        await settled();
        return [
          await refusal(pool.run(insert('late'))),
          await refusal(pool.get('SELECT 1')),
          await refusal(pool.withStatement(insert('late'), (statement) => statement.run())),
        ].join();
      })();
    });
    return [await left, await names(pool)];
  },

  async 'a callback that throws is rolled back, and what its library still does refused'(pool) {
    const failed = new Library(pool).transaction(async () => {
      await pool.run(insert('undone'));
      return enough();
    });
    return [await refusal(failed), isInside(pool), await names(pool)];
  },

  async 'to enter when it has begun does the same'(pool) {
    const facts: unknown[] = [];
    await enterBegun(pool, async () => {
      facts.push(isInside(pool));
      await pool.run(insert('a'));
    });
    facts.push(isInside(pool), await names(pool));
    return facts;
  },

  async 'without it the callback stays outside'(pool) {
    return [await new Library(pool, { enters: false }).transaction(async () => isInside(pool)), await names(pool)];
  },

  async 'in a library inside another on the same pool it is a part'(pool) {
    const library = new Library(pool);
    const facts: unknown[] = [];
    await library.transaction(async () => {
      await pool.run(insert('a'));
      await library.transaction(() => pool.run(insert('b')));
      facts.push(isInside(pool), pool.stats().leased);
      await refusal(
        library
          .transaction(async () => {
            await pool.run(insert('undone'));
            enough();
          })
          .finally(() => facts.push(isInside(pool))),
      );
      await pool.run(insert('c'));
    });
    facts.push(isInside(pool), await names(pool));
    return facts;
  },

  async 'libraries on two pools nest, each in its own'(pool, other) {
    const facts: unknown[] = [];
    await new Library(pool).transaction(async () => {
      await pool.run(insert('a'));
      await new Library(other).transaction(async () => {
        facts.push(['in both', isInside(pool), isInside(other)]);
        await pool.run(insert('b'));
        await other.run(insert('c'));
        await new Library(pool).transaction(() => pool.run(insert('d')));
        facts.push(['after a part', isInside(pool), isInside(other)]);
      });
      facts.push(['after the inner one', isInside(pool), isInside(other)]);
    });
    facts.push(['after', isInside(pool), isInside(other), await names(pool), await names(other)]);
    return facts;
  },

  async 'a caller in a scope keeps that, and his transaction its scope'(pool) {
    const facts: unknown[] = [];
    await pool.withScope(async () => {
      await new Library(pool).transaction(async () => {
        facts.push(['in the callback', isInside(pool)]);
        await pool.run(insert('a'));
      });
      facts.push(['after', pool.current === undefined, isInside(pool)]);
      const db = await pool.connection();
      await new Library(pool).transaction(async () => {
        facts.push(['on the connection of the scope', pool.current === db, db.inTransaction]);
      });
      facts.push(['after that', pool.current === db, db.inTransaction]);
    });
    return facts;
  },

  async 'inside transaction() it is a part, after which the caller is where he was'(pool) {
    const facts: unknown[] = [];
    await pool.transaction(async (tx) => {
      await new Library(pool).transaction(() => pool.run(insert('a')));
      facts.push(pool.current === tx, tx.inTransaction);
      await pool.run(insert('b'));
    });
    facts.push(await names(pool));
    return facts;
  },

  async 'where it does not begin the callback is not called, and nobody is inside'(pool) {
    const library = new Library(pool);
    const facts: unknown[] = [];
    const holder = await pool.openTransaction().begun;
    const failed = library.transaction(
      async () => {
        facts.push('called');
      },
      { timeout: 10 },
    );
    facts.push(await refusal(failed), isInside(pool));
    await holder.rollback();
    facts.push(await names(pool), pool.stats().laneHeld);
    return facts;
  },
};

/** Runs them all, each on files of its own. */
export async function runEnterings(fileOf: (name: string) => string): Promise<Record<string, unknown[]>> {
  const outcomes: Record<string, unknown[]> = {};
  for (const [index, [title, run]] of Object.entries(enterings).entries()) {
    const [pool, other] = [createPool(fileOf(`${index}.db`)), createPool(fileOf(`${index}-other.db`))];
    for (const each of [pool, other]) await each.run('CREATE TABLE item (name TEXT)');
    outcomes[title] = await run(pool, other);
    for (const each of [pool, other]) {
      const { leased, laneHeld } = each.stats();
      if (leased + laneHeld > 0) throw new Error(`Left behind by "${title}"`);
      await each.close({ timeout: 0 });
    }
  }
  return outcomes;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , directory = ''] = process.argv;
  process.stdout.write(JSON.stringify(await runEnterings((name) => `${directory}/${name}`)));
}
