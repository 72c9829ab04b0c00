import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import test from 'ava';
import Database from 'better-sqlite3';
import { look } from '../../../lib/cli/doctor/look.ts';
import { observeFile } from '../../../lib/cli/outside/observe.ts';
import { temporaryFile } from '../../support/files.ts';
import { startProcess } from '../../support/processes.ts';
import { locksWith, stateWith } from './facts.ts';
import { build, diagnose, isLinux, manyRows } from './support.ts';

const onLinux = isLinux ? test.serial : test.skip;

const { signal } = new AbortController();

/** A file as it was, and as it is after commits that each made it longer. */
function versionsOf(file: string, count: number): Buffer[] {
  build(file, manyRows, { wal: false });
  const versions = [readFileSync(file)];
  for (let version = 1; version < count; version++) {
    build(file, `CREATE TABLE more_${version} (a); INSERT INTO more_${version} VALUES (zeroblob(100000))`, {
      wal: false,
    });
    versions.push(readFileSync(file));
  }
  return versions;
}

/** As a file is in the middle of a commit that makes it longer: its first page is the new one already. */
function between(former: Buffer, next: Buffer): Buffer {
  return Buffer.concat([next.subarray(0, 4096), former.subarray(4096)]);
}

test('a file that was seen in the middle of a commit is not too short', async (t) => {
  const file = temporaryFile(t);
  const [former, next] = versionsOf(file, 2) as [Buffer, Buffer];
  writeFileSync(file, between(former, next));
  const stages = [next];
  const { state, patience } = await look(file, signal, (path) => {
    const seen = observeFile(path);
    const stage = stages.shift();
    if (stage !== undefined) writeFileSync(file, stage);
    return seen;
  });
  t.is(state.size, next.length);
  t.is(patience.length, undefined);
});

test('nor is one that is in the middle of another commit at each look', async (t) => {
  const file = temporaryFile(t);
  const versions = versionsOf(file, 13);
  const stages = versions.slice(1).map((next, before) => between(versions[before] as Buffer, next));
  let seen = 0;
  const { patience } = await look(file, signal, (path) => {
    writeFileSync(file, stages[seen++] as Buffer);
    return observeFile(path);
  });
  t.true(seen > 2);
  t.is(patience.length, undefined);
});

test('one that stays too short is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  truncateSync(file, 4096 * 20);
  t.is((await look(file, signal)).patience.length, 'short');
  truncateSync(file, 4096 * 20 + 1);
  t.is((await look(file, signal)).patience.length, 'short');
});

test('a file whose end is still in the log beside it is not too short', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const db = new Database(file);
  db.exec('UPDATE item SET amount = 1');
  const copy = temporaryFile(t);
  writeFileSync(`${copy}-wal`, readFileSync(`${file}-wal`));
  db.close();
  writeFileSync(copy, readFileSync(file));
  // As a machine that went down while the log was copied leaves it.
  truncateSync(copy, 4096 * 20);
  t.is((await look(copy, signal)).patience.length, undefined);
});

test('who has the file for itself is looked at again, and told of only where that does not go away', async (t) => {
  const alone = stateWith({ locks: locksWith({ exclusive: 7, users: [7] }) });
  let looks = 0;
  const staying = await look('app.db', signal, () => {
    looks++;
    return alone;
  });
  t.is(staying.patience.exclusive, 7);
  t.true(looks > 5);
  const states = [alone, alone];
  const closing = await look('app.db', signal, () => states.shift() ?? stateWith());
  t.is(closing.patience.exclusive, undefined);
  t.is(closing.state.locks?.exclusive, undefined);
  // Another one each time: as where many open and close it.
  let pid = 0;
  const many = await look('app.db', signal, () => stateWith({ locks: locksWith({ exclusive: ++pid, users: [pid] }) }));
  t.is(many.patience.exclusive, undefined);
});

const growing = `
  import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
  const [, file, mode] = process.argv;
  const db = new Database(file);
  db.pragma('journal_mode = ' + mode);
  db.pragma('synchronous = OFF');
  db.pragma('wal_autocheckpoint = 1');
  db.exec('CREATE TABLE heap (a)');
  const grow = db.prepare('INSERT INTO heap VALUES (randomblob(8000))');
  const commands = {
    grow: () => {
      let writes = 0;
      const turn = () => {
        if (++writes % 2000 === 0) db.exec('DELETE FROM heap; VACUUM');
        else grow.run();
        setImmediate(turn);
      };
      turn();
    },
  };`;

for (const mode of ['WAL', 'DELETE']) {
  onLinux(
    `a file that grows all the time is neither too short nor locked for long, with journal mode ${mode}`,
    async (t) => {
      const file = temporaryFile(t);
      const other = await startProcess(t, growing, file, mode);
      await other.call('grow');
      for (let count = 0; count < 25; count++) {
        const { state, patience } = await look(file, signal);
        t.is(patience.length, undefined, JSON.stringify(state));
        // Nor has it one transaction open all the time.
        t.is(patience.writer, undefined);
      }
      const { of } = await diagnose(file, ['--quick']);
      t.deepEqual(of('file.length'), []);
    },
  );
}
