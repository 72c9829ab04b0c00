import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import type { Finding } from '../../../lib/cli/doctor/finding.ts';
import { temporaryDirectory, temporaryFile } from '../../support/files.ts';
import { otherDatabase, otherPool, startProcess, turnsUntil } from '../../support/processes.ts';
import { build, buildSlow, canContain, diagnose, inContainer, isLinux, manyRows, program, traceOf } from './support.ts';

interface Running {
  readonly child: ChildProcess;
  /** What it and its children make for themselves. */
  readonly temporary: string;
  readonly ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  stdout(): string;
  /** Number of the process that asks SQLite. */
  examiner(): number | undefined;
}

function start(t: ExecutionContext, args: readonly string[]): Running {
  const temporary = temporaryDirectory(t);
  const child = spawn(process.execPath, [program, 'doctor', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: temporary },
  });
  t.teardown(() => void child.kill('SIGKILL'));
  const examiner = () => {
    if (child.exitCode !== null) throw new Error(`It ended by itself with ${child.exitCode}.`);
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    return children === '' ? undefined : Number(children.split(' ')[0]);
  };
  let written = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written += text;
  });
  return { child, temporary, ended: once(child, 'close') as Running['ended'], stdout: () => written, examiner };
}

/** Whether a process has a file open. */
function hasOpen(pid: number | undefined, file: string): boolean {
  const { ino } = statSync(file);
  try {
    return readdirSync(`/proc/${pid}/fd`).some((name) => {
      try {
        return statSync(`/proc/${pid}/fd/${name}`).ino === ino;
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

/** Time of the processor that a process has used, in hundredths of a second. */
function usedBy(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

const onLinux = isLinux ? test.serial : test.skip;

for (const [what, sql, wal] of [
  ['in WAL mode that nobody has open', manyRows, true],
  ['with a rollback journal', manyRows, false],
] as const) {
  test.serial(`a file ${what} is left as it was, and nothing beside it`, async (t) => {
    const file = temporaryFile(t);
    build(file, sql, { wal });
    const temporary = join(temporaryDirectory(t), 'tmp');
    mkdirSync(temporary);
    const before = traceOf(file);
    for (const args of [[], ['--quick'], ['--integrity', 'quick', '--in-place']]) {
      const { one, stdout } = await diagnose(file, args, { env: { TMPDIR: temporary } });
      t.is(one('schema.tables').state, 'ok', stdout);
      t.deepEqual(traceOf(file), before, args.join(' '));
      t.deepEqual(readdirSync(temporary), [], args.join(' '));
    }
  });
}

onLinux('a log that was left behind is left, and what it holds is examined', async (t) => {
  const file = temporaryFile(t);
  const other = await otherDatabase(t, file);
  await other.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; ${manyRows}`);
  await other.kill();
  const before = traceOf(file);
  t.is(before.length, 3);
  const { code, one } = await diagnose(file);
  t.is(code, 0);
  t.regex(one('journal.leftover').found, /with \d+ pages of committed transactions/);
  t.regex(one('schema.tables').found, /^1 table and 1 index/);
  t.regex(one('content.examined').found, /^in a copy/);
  t.deepEqual(traceOf(file), before);
  // It is still what it was: whoever opens it next has it all.
  const db = new Database(file);
  t.is(db.prepare('SELECT count(*) FROM item').pluck().get(), 5000);
  db.close();
});

onLinux('while a pool has it open nothing of it changes but the marks of readers', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await otherPool(t, file, {}, "read: () => pool.run('UPDATE item SET amount = 1 WHERE id = 1')");
  await other.call('read');
  const name = 'app.db-shm';
  const before = traceOf(file, { except: [name] });
  t.is(before.length, 2);
  const { code, one } = await diagnose(file);
  t.is(code, 0);
  t.regex(one('content.examined').found, /^in place, as one more reader/);
  t.regex(one('users.processes').found, new RegExp(`process ${String((await pidOf(file)) ?? '')} `));
  t.deepEqual(traceOf(file, { except: [name] }), before);
  await other.call('read');
});

async function pidOf(file: string): Promise<number | undefined> {
  const { observeFile } = await import('../../../lib/cli/outside/observe.ts');
  return observeFile(file).processes?.[0]?.pid;
}

onLinux(
  'a transaction that was cut off is examined as it will be after it is taken back, and is not taken back',
  async (t) => {
    const file = temporaryFile(t);
    build(file, manyRows, { wal: false });
    const other = await otherDatabase(t, file);
    await other.exec("PRAGMA cache_size = 5; BEGIN; UPDATE item SET name = 'changed ' || name");
    await other.kill();
    const before = traceOf(file);
    t.is(before.length, 2);
    const { code, one } = await diagnose(file);
    t.is(code, 1);
    t.regex(one('journal.rollback').found, /of a transaction that was cut off(?:, unless somebody writes now)?\.$/);
    t.is(one('content.integrity').state, 'ok');
    t.deepEqual(traceOf(file), before);
    const db = new Database(file);
    t.is(db.prepare("SELECT count(*) FROM item WHERE name LIKE 'changed%'").pluck().get(), 0);
    db.close();
  },
);

onLinux(
  'a log that the last user could not remove because of this is told of, and is as that user left it',
  async (t) => {
    const file = temporaryFile(t);
    buildSlow(file, { wal: true, rows: 50 });
    const other = await startProcess(
      t,
      `import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
     const db = new Database(process.argv[1]);
     db.exec('CREATE TABLE late (a); INSERT INTO late VALUES (1)');
     const commands = { close: () => void db.close() };`,
      file,
    );
    const { stdout, ended, examiner } = start(t, [file, '--json']);
    await turnsUntil(() => hasOpen(examiner(), file));
    await other.call('close');
    t.deepEqual(await ended, [0, null]);
    const found = (JSON.parse(stdout()) as Finding[]).filter(({ id }) => id === 'journal.left');
    t.is(found.length, 1);
    t.is(found[0]?.state, 'note');
    t.true(existsSync(`${file}-wal`));
    // As it says, the next one that closes it removes it.
    build(file, 'INSERT INTO late VALUES (2)');
    t.false(existsSync(`${file}-wal`));
  },
);

onLinux('one that its last user closes before it is examined is looked at anew, and examined', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const other = await startProcess(
    t,
    `import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))};
     const db = new Database(process.argv[1]);
     db.exec('CREATE TABLE late (a); INSERT INTO late VALUES (1)');
     const commands = { close: () => void db.close() };`,
    file,
  );
  const { stdout, ended, examiner } = await stoppedBeforeItOpens(t, file);
  await other.call('close');
  t.false(existsSync(`${file}-wal`));
  process.kill(examiner() as number, 'SIGCONT');
  t.deepEqual(await ended, [0, null], stdout());
  const findings = JSON.parse(stdout()) as Finding[];
  t.regex(findings.find(({ id }) => id === 'content.examined')?.found ?? '', /^in a copy/);
  t.regex(findings.find(({ id }) => id === 'schema.tables')?.found ?? '', /^2 tables/);
});

/** One that has looked at the file, and whose process that asks SQLite is stopped while it starts. */
async function stoppedBeforeItOpens(t: ExecutionContext, file: string): Promise<Running> {
  const running = start(t, [file, '--json']);
  const { examiner, ended } = running;
  await turnsUntil(() => examiner() !== undefined);
  const pid = examiner() as number;
  process.kill(pid, 'SIGSTOP');
  await turnsUntil(() => /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  if (!hasOpen(pid, file)) return running;
  // The machine stood still for longer than that start takes.
  process.kill(pid, 'SIGCONT');
  await ended;
  return stoppedBeforeItOpens(t, file);
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  onLinux(
    `${signal} in the middle of the integrity check ends it at once with ${code}, and nothing is left`,
    async (t) => {
      const file = temporaryFile(t);
      buildSlow(file, { wal: signal === 'SIGINT' });
      const before = traceOf(file);
      const { child, temporary, ended, examiner } = start(t, [file]);
      // Its start takes less: it is in the check.
      await turnsUntil(
        () => usedBy(examiner()) > 150 && readdirSync(temporary).length === (signal === 'SIGINT' ? 0 : 1),
      );
      const pid = examiner();
      child.kill(signal);
      t.deepEqual(await ended, [code, null]);
      t.false(existsSync(`/proc/${pid}`));
      t.deepEqual(readdirSync(temporary), []);
      t.deepEqual(traceOf(file), before);
    },
  );
}

onLinux(
  'where the process that asks SQLite is killed there is no verdict, and what it had found is told',
  async (t) => {
    const file = temporaryFile(t);
    buildSlow(file, { wal: true });
    const { ended, stdout, temporary, examiner } = start(t, [file, '--json']);
    await turnsUntil(() => usedBy(examiner()) > 150 && readdirSync(temporary).length === 0);
    process.kill(examiner() as number, 'SIGKILL');
    t.deepEqual(await ended, [2, null]);
    const findings = JSON.parse(stdout()) as Finding[];
    t.is(findings.find(({ id }) => id === 'content.failed-open')?.state, 'warning');
    t.is(findings.find(({ id }) => id === 'schema.tables')?.state, 'ok');
  },
);

onLinux('after kill -9 the process that asks SQLite ends too, and its lock with it', async (t) => {
  const file = temporaryFile(t);
  buildSlow(file, { wal: false });
  const before = traceOf(file);
  const { child, ended, examiner } = start(t, [file, '--in-place']);
  await turnsUntil(() => usedBy(examiner()) > 150 && hasOpen(examiner(), file));
  const pid = examiner();
  child.kill('SIGKILL');
  await ended;
  await turnsUntil(() => !existsSync(`/proc/${pid}`));
  t.deepEqual(traceOf(file), before);
});

onLinux('what one that was killed left in the directory for temporary files, the next one removes', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const temporary = temporaryDirectory(t);
  const gone = spawn(process.execPath, ['-e', '']);
  await once(gone, 'exit');
  const namespace = Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]);
  const names = [
    `leasehold-doctor-${namespace}-${process.pid}-abc`,
    // Of those who have other numbers for their processes.
    `leasehold-doctor-${namespace + 1}-${gone.pid}-abc`,
    'leasehold-doctor-other',
  ];
  for (const name of [`leasehold-doctor-${namespace}-${gone.pid}-abc`, ...names]) mkdirSync(join(temporary, name));
  t.is((await diagnose(file, [], { env: { TMPDIR: temporary } })).code, 0);
  t.deepEqual(readdirSync(temporary).toSorted(), names.toSorted());
});

const withContainers = canContain() ? test.serial : test.skip;

withContainers(
  'one in a container leaves what one outside of it works with, in a directory that both have',
  async (t) => {
    const file = temporaryFile(t);
    buildSlow(file, { wal: false });
    const { child, temporary, ended, examiner } = start(t, [file, '--in-place']);
    await turnsUntil(() => hasOpen(examiner(), file));
    const before = readdirSync(temporary);
    t.is(before.length, 1);
    const other = temporaryFile(t);
    build(other, manyRows);
    const { code } = await diagnose(other, ['--quick'], { env: { TMPDIR: temporary }, within: inContainer });
    t.is(code, 0);
    t.deepEqual(readdirSync(temporary), before);
    child.kill('SIGINT');
    t.deepEqual(await ended, [130, null]);
  },
);
