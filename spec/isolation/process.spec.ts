import test from 'ava';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { otherPool } from '../support/processes.ts';
import { judged } from './pragmas.ts';

// What a pragma sets for the whole process, no new connection undoes: a documented limit. In a process of its own,
// because it would stay set in this one.

const commands = `
  set: (name, value) => pool.withConnection((db) => void db.pragma(name + ' = ' + value), { label: 'setter' }),
  read: (name) => pool.withConnection((db) => db.pragma(name, { simple: true }) ?? null),
  readByLane: (name) => pool.transaction((db) => db.pragma(name, { simple: true }) ?? null),
  size: () => pool.withConnection((db) => db.prepare('SELECT hex(zeroblob(100000)) AS a').pluck().get().length),
  opened: () => pool.stats().counters.opened`;

for (const [name, { value }] of judged('process')) {
  test(`documented limit: ${name} is of the process, so every later holder sees what one has set`, async (t) => {
    const other = await otherPool(t, temporaryFile(t), { max: 1 }, commands);
    const given = name === 'temp_store_directory' ? `'${temporaryDirectory(t)}'` : value;
    const before = await other.call<unknown>('read', name);
    await other.call('set', name, given);
    t.is(await other.call<unknown>('opened'), 1, 'The connection has gone');
    const after = await other.call<unknown>('read', name);
    t.is(await other.call<unknown>('opened'), 2);
    t.not(after, before);
    t.is(after, typeof given === 'string' ? given.slice(1, -1) : given);
    t.is(await other.call<unknown>('readByLane', name), after, "Also on the lane's own connection");
  });
}

test('documented limit: a hard heap limit can not be taken back, and this build enforces none', async (t) => {
  const other = await otherPool(t, temporaryFile(t), { max: 1 }, commands);
  await other.call('set', 'hard_heap_limit', 1000);
  await other.call('set', 'hard_heap_limit', 0);
  await other.call('set', 'hard_heap_limit', 2_000_000_000);
  t.is(await other.call<unknown>('read', 'hard_heap_limit'), 1000);
  t.is(await other.call<unknown>('size'), 200_000);
});
