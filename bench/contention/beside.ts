import { setImmediate } from 'node:timers/promises';
import { createPool, type SqlitePool } from '../../lib/index.ts';
import { expectRow, max } from '../contenders/contender.ts';
import { leftIn } from '../contenders/leasehold-transactions.ts';
import { copyOf, keyOf, selectByKey } from '../support/database.ts';
import { grouped } from '../support/markdown.ts';
import { medianNanoseconds } from '../support/measure.ts';
import { audit } from './audit.ts';
import type { Comparison } from './comparison.ts';

/** Reads in an idle pool, and in one whose write lane has a holder and a long queue. */
export const beside: Comparison = {
  id: 'beside',
  title: ({ queued }) => `a read beside ${grouped(queued)} queued writers`,
  size: { times: 5000, queued: 500 },
  quick: { times: 200, queued: 20 },
  open(template, { times, queued }) {
    const file = copyOf(template, 'beside');
    const pool = createPool(file, { max });
    const medianOfReads = () =>
      medianNanoseconds(times, (operation) => pool.get(selectByKey, [keyOf(operation)]), expectRow);
    let written = 0;
    return {
      sides: [
        { name: 'idle pool', sample: medianOfReads },
        {
          name: 'beside the writers',
          async sample() {
            const { promise: done, resolve: finish } = Promise.withResolvers<void>();
            const writers = Array.from({ length: queued + 1 }, (_, index) =>
              pool.transaction(
                async (tx) => {
                  tx.prepare(addOne).run();
                  if (index === 0) await done;
                },
                { timeout: Infinity },
              ),
            );
            await untilQueued(pool, queued);
            const median = await medianOfReads();
            await untilQueued(pool, queued);
            finish();
            await Promise.all(writers);
            written += writers.length;
            return median;
          },
        },
      ],
      async close() {
        await audit('beside', file, { left: () => leftIn(pool) }, written);
        await pool.close();
      },
    };
  },
};

const addOne = 'UPDATE accounts SET balance = balance + 1 WHERE id = 1';

/** Waits until one transaction has begun and the others wait. */
async function untilQueued(pool: SqlitePool, queued: number): Promise<void> {
  for (let turn = 0; turn < 1000; turn++) {
    const { laneHeld, laneWaiting } = pool.stats();
    if (laneHeld === 1 && laneWaiting === queued) return;
    await setImmediate();
  }
  const { laneHeld, laneWaiting } = pool.stats();
  throw new Error(`${queued} were to wait for the write lane; it has ${laneHeld} and ${laneWaiting} wait`);
}
