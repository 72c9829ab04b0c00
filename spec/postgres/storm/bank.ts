import type { Client } from 'pg';
import type { LeasedClient } from '../../../lib/postgres.ts';
import type { Random } from '../../soak/random.ts';
import type { Findings } from './findings.ts';

const accounts = 20;
const each = 1000;
/** All the money there ever is. */
export const total = accounts * each;

/** Money that goes from one account to another. */
export interface Transfer {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  readonly amount: number;
}

/** What its caller was told of a transfer. */
export type Word = 'committed' | 'failed' | 'unknown';

/**
 * A bank that writes down what each caller was told.
 *
 * Invariant: whoever was told that a transfer is committed finds it, whoever was told that it failed does not; and what is
 * found is there whole.
 */
export class Bank {
  readonly told = new Map<number, Word>();
  #last = 0;

  async open(client: Client): Promise<void> {
    await client.query(`
      CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
      INSERT INTO account SELECT n, ${each} FROM generate_series(1, ${accounts}) AS n;
      CREATE TABLE transfer (id int PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount int NOT NULL);`);
  }

  transfer(random: Random): Transfer {
    const from = random.integer(1, accounts);
    const to = ((from + random.integer(0, accounts - 2)) % accounts) + 1;
    return { id: ++this.#last, from, to, amount: random.integer(1, 50) };
  }

  /** How many were told so. */
  count(word: Word): number {
    return [...this.told.values()].filter((told) => told === word).length;
  }

  /** Looks for all that anybody was told. */
  async audit(client: Client, findings: Findings): Promise<void> {
    const sum = await client.query<{ sum: number }>('SELECT sum(balance)::int FROM account');
    if (sum.rows[0]?.sum !== total) findings.violate(`money: ${sum.rows[0]?.sum} of ${total}`);
    const odd = await client.query(`
      SELECT id FROM account WHERE balance <> ${each}
        + coalesce((SELECT sum(amount) FROM transfer WHERE target = account.id), 0)
        - coalesce((SELECT sum(amount) FROM transfer WHERE source = account.id), 0)`);
    for (const { id } of odd.rows) findings.violate(`half committed: account ${id} is not the sum of its transfers`);
    const kept = await client.query<{ id: number }>('SELECT id FROM transfer');
    const present = new Set(kept.rows.map(({ id }) => id));
    for (const [id, word] of this.told) {
      if (word === 'committed' && !present.has(id)) findings.violate(`lost: transfer ${id} was said to be committed`);
      if (word === 'failed' && present.has(id)) findings.violate(`there: transfer ${id} was said to have failed`);
      present.delete(id);
    }
    for (const id of present) findings.violate(`told to nobody: transfer ${id}`);
  }
}

/** Moves the money, and says by which session. What comes last tells whether all came. */
export async function move(tx: LeasedClient, { id, from, to, amount }: Transfer): Promise<number | undefined> {
  await tx.query('UPDATE account SET balance = balance - $2 WHERE id = $1', [from, amount]);
  await tx.query({
    name: 'credit',
    text: 'UPDATE account SET balance = balance + $2 WHERE id = $1',
    values: [to, amount],
  });
  const { rows } = await tx.query<{ pid: number }>(
    'INSERT INTO transfer VALUES ($1, $2, $3, $4) RETURNING pg_backend_pid() AS pid',
    [id, from, to, amount],
  );
  return rows[0]?.pid;
}
