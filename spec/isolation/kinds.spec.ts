import test, { type ExecutionContext } from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { temporaryDirectory } from '../support/files.ts';
import { auditedPool, fingerprint, isIdle } from './fingerprint.ts';
import { handOns } from './hand-ons.ts';
import { type Kind, kinds } from './kinds.ts';

// Every kind of state, by every way to the next holder.

async function passesOnNothing(t: ExecutionContext, { onOpen, leave, shows, traces, undone }: Kind): Promise<void> {
  for (const [way, { options, run }] of Object.entries(handOns)) {
    const directory = temporaryDirectory(t);
    const { pool, dirt } = auditedPool(t, { ...options, onOpen: (db) => onOpen?.(db, directory) });
    const look = (db: LeasedDatabase) => ({ shown: shows(db), ...fingerprint(db) });
    const before = await run(pool, () => {}, look);
    t.deepEqual(dirt, [], `${way}: looking leaves nothing`);
    const untouched = pool.stats().counters.opened;
    const after = await run(
      pool,
      (db) => {
        const was = shows(db);
        leave(db, directory);
        t.notDeepEqual(shows(db), was, `${way}: it was there`);
      },
      look,
    );
    t.deepEqual(after, before, way);
    t.deepEqual(
      dirt.map((event) => event.traces),
      [traces],
      way,
    );
    t.is(pool.stats().counters.opened - untouched, undone === true ? 0 : 1, `${way}: connections opened anew`);
    isIdle(t, pool, way);
    await pool.close();
  }
}

// One after the other here and beside: all at once would be no faster, and nothing be heard of them for long.
for (const [name, kind] of Object.entries(kinds)) {
  test.serial(`${name} does not reach the next holder`, (t) => passesOnNothing(t, kind));
}
