import test from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { temporaryDirectory, temporaryFile } from '../support/files.ts';
import { auditedPool, fingerprint, isIdle } from './fingerprint.ts';
import { handOns } from './hand-ons.ts';
import { kinds } from './kinds.ts';
import { judged } from './pragmas.ts';

// A read-only pool has connections with a state of their own, though none can write to the file.

/** These are what they are by writing to the file. */
const writing = new Set(['a transaction that holds the write lock']);

// SQLite would not do these without writing to the file.
const unchangeable = new Set(['journal_mode']);

for (const [name, { onOpen, leave, shows, traces }] of Object.entries(kinds)) {
  if (writing.has(name)) continue;
  test.serial(`${name} does not reach the next holder of a read-only pool`, async (t) => {
    for (const way of ['an idle connection', 'a waiter', 'a snapshot']) {
      const [file, directory] = [temporaryFile(t), temporaryDirectory(t)];
      const writer = auditedPool(t, { onOpen: (db) => onOpen?.(db, directory) }, file);
      await writer.pool.withConnection(() => 0);
      const { pool, dirt } = auditedPool(t, { readonly: true, onOpen: (db) => onOpen?.(db, directory) }, file);
      const look = (db: LeasedDatabase) => ({ shown: shows(db), ...fingerprint(db) });
      const { run } = handOns[way] ?? t.fail();
      const before = await run(pool, () => {}, look);
      const leaving = (db: LeasedDatabase) => {
        const was = shows(db);
        leave(db, directory);
        t.notDeepEqual(shows(db), was, `${way}: it was there`);
      };
      t.deepEqual(await run(pool, leaving, look), before, way);
      t.deepEqual(
        dirt.map((event) => event.traces),
        [traces],
        way,
      );
      isIdle(t, pool, way);
      t.deepEqual(writer.dirt, []);
      await pool.close();
      await writer.pool.close();
    }
  });
}

test('no pragma that was set shows to the next holder of a read-only pool', async (t) => {
  const file = temporaryFile(t);
  await auditedPool(t, {}, file).pool.withConnection(() => 0);
  const { pool, dirt } = auditedPool(t, { readonly: true }, file);
  const before = await pool.withConnection(fingerprint);
  let set = 0;
  for (const [name, { value }] of judged('connection')) {
    if (unchangeable.has(name)) continue;
    await pool.withConnection((db) => db.pragma(`${name} = ${value}`));
    t.deepEqual(await pool.withConnection(fingerprint), before, name);
    t.deepEqual(dirt.at(-1)?.traces, [`pragma ${name}`]);
    set++;
  }
  t.is(dirt.length, set);
});
