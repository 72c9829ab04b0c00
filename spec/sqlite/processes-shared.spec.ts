import test from 'ava';
import { temporaryFile } from '../support/files.ts';
import { longBusyTimeout, neighbours, otherPool, turnsUntil } from '../support/processes.ts';
import { temporaryPool } from '../support/sqlite.ts';

// Read, wait for something else, write: what is lost if two of these overlap.
const increments = `
  async increment(times) {
    const add = () => pool.transaction(async (tx) => {
      const x = tx.prepare('SELECT x FROM counter').pluck().get();
      await nextTurn();
      tx.prepare('UPDATE counter SET x = ?').run(x + 1);
      await nextTurn();
    });
    const outcomes = await Promise.allSettled(Array.from({ length: times }, add));
    return outcomes.flatMap(({ reason }) => reason === undefined ? [] : [String(reason.message)]);
  }`;

for (const journal_mode of ['WAL', 'DELETE']) {
  test(`three processes lose none of each other's increments in journal mode ${journal_mode}`, async (t) => {
    const options = { pragmas: { journal_mode }, busyTimeout: longBusyTimeout, acquireTimeout: 50_000 };
    const file = temporaryFile(t);
    const pool = temporaryPool(t, options, file);
    await pool.transaction((tx) => tx.exec('CREATE TABLE counter (x INTEGER); INSERT INTO counter VALUES (0)'));
    const others = await Promise.all([
      otherPool(t, file, options, increments),
      otherPool(t, file, options, increments),
    ]);
    const theirs = others.map((other) => other.call<string[]>('increment', 100));
    const mine = Array.from({ length: 100 }, () =>
      pool.transaction(async (tx) => {
        const { x } = tx.prepare<[], { x: number }>('SELECT x FROM counter').get() ?? { x: Number.NaN };
        await new Promise(setImmediate);
        tx.prepare('UPDATE counter SET x = ?').run(x + 1);
        await new Promise(setImmediate);
      }),
    );
    await Promise.all(mine);
    t.deepEqual(await Promise.all(theirs), [[], []]);
    t.deepEqual(await pool.get('SELECT x FROM counter'), { x: 300 });
    t.like(pool.stats(), { laneHeld: 0, laneWaiting: 0, leased: 0 });
  });
}

test('the event loop goes on turning each time that another process holds the lock', async (t) => {
  const rounds = 6;
  // As many turns of 5 ms as make a hold longer than the pauses between two attempts: 300 ms or more.
  const turnsInHold = 60;
  const busyTimeout = 5000;
  const { pool, other, refusals } = await neighbours(t, { busyTimeout });

  let turns = 0;
  let worst = 0;
  let last = performance.now();
  const ticking = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
    turns++;
  }, 5);
  t.teardown(() => clearInterval(ticking));

  const add = 'UPDATE n SET x = x + 1';
  const writes: (() => Promise<unknown>)[] = [
    () => pool.transaction((tx) => tx.prepare(add).run()),
    () => pool.withConnection(() => pool.transaction(() => pool.run(add))),
    () => pool.run(add),
    () => pool.withConnection(() => pool.all(`${add} RETURNING x`)),
  ];
  for (let round = 0; round < rounds; round++) {
    await other.exec('BEGIN IMMEDIATE');
    const before = refusals();
    const writing = writes.map((write) => write());
    // What is tried first when it is begun, and what waits behind that, differs from round to round.
    writes.push(...writes.splice(0, 1));
    const begun = turns;
    await turnsUntil(() => turns >= begun + turnsInHold);
    t.true(refusals() - before > 3, 'They have tried meanwhile');
    await other.exec('COMMIT');
    await Promise.all(writing);
  }
  t.deepEqual(await pool.get('SELECT x FROM n'), { x: 1 + rounds * writes.length });
  // The holder lets go only after so many turns. A loop that was blocked could not count them, and would stand still for
  // the whole busy timeout.
  t.true(worst < busyTimeout / 2, `Worst delay of a timer: ${worst} ms`);
});
