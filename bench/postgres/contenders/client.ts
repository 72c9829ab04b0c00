import { Client } from 'pg';
import {
  type Contender,
  count,
  expectAborts,
  expectCount,
  expectRow,
  selectCount,
  selectGiven,
  selectOne,
} from './contender.ts';

/** One client of pg that is kept: what the same queries cost where nobody has to take or give back anything. */
export const client: Contender = {
  name: 'floor',
  async open(url, counter) {
    const kept = new Client({ connectionString: url });
    await kept.connect();
    return {
      async query(times) {
        for (let i = 0; i < times; i++) expectRow((await kept.query(selectOne)).rows, 1);
      },
      async oneShot(times) {
        for (let i = 0; i < times; i++) expectRow((await kept.query(selectGiven, [i])).rows, i);
      },
      async named(times) {
        for (let i = 0; i < times; i++) {
          expectRow((await kept.query({ name: 'given', text: selectGiven, values: [i] })).rows, i);
        }
      },
      async transaction(times) {
        for (let i = 0; i < times; i++) {
          await kept.query('BEGIN');
          await kept.query(count, [counter]);
          const { rows } = await kept.query(selectCount, [counter]);
          await kept.query('COMMIT');
          expectCount(rows);
        }
      },
      async scope(times) {
        for (let i = 0; i < times; i++) {
          expectRow((await kept.query(selectGiven, [i])).rows, i);
          expectRow((await kept.query(selectGiven, [i + 1])).rows, i + 1);
          expectRow((await kept.query(selectGiven, [i + 2])).rows, i + 2);
        }
      },
      async abortedWaits(times) {
        const abort = new AbortController();
        const waits = Array.from({ length: times }, () => untilAborted(abort.signal));
        abort.abort();
        await expectAborts(waits);
      },
      close: () => kept.end(),
    };
  },
};

function untilAborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(new DOMException('Aborted', 'AbortError')), { once: true });
  return promise;
}
