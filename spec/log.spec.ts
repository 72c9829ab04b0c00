import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { temporaryFile } from './support/files.ts';
import { libraryUrl } from './support/sqlite.ts';

/** What a program of its own writes to stderr. It has a pool named `app` on a new file. */
async function logged(t: ExecutionContext, program: string, options = {}, debug = 'leasehold'): Promise<string> {
  const whole = `
    import { setImmediate as settled, setTimeout as sleep } from 'node:timers/promises';
    import { createPool } from ${JSON.stringify(libraryUrl)};
    const pool = createPool(process.argv[1], ${JSON.stringify({ name: 'app', ...options })});
    ${program}
    await pool.close({ timeout: 0 });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', whole, temporaryFile(t)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_DEBUG: debug, NODE_OPTIONS: '' },
  });
  t.teardown(() => void child.kill());
  const [written, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  t.is(code, 0, written);
  return written;
}

/** The lines without what Node puts before them, and with durations replaced. */
function linesOf(written: string): string[] {
  return written
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^LEASEHOLD \d+: /, '').replaceAll(/\d+(\.\d+)? (ms|s)\b/g, '<time>'));
}

const all = `
  const db = await pool.acquire({ label: 'GET /a' });
  const waiting = pool.acquire({ label: 'GET /b' });
  db.close();
  const second = await waiting;
  await pool.acquire({ timeout: 10, label: 'GET /c' }).catch(() => {});
  second.exec('CREATE TEMP TABLE x (y)');
  second.close();`;

test('each step of a connection is a line, with the pool, the connection, the lease and its label', async (t) => {
  const lines = linesOf(await logged(t, all, { max: 1 }));
  t.deepEqual(lines.slice(0, 5), [
    'app/1: connection 1 opened in <time>',
    'app/1: connection 1 acquired as lease 1 "GET /a" after <time>',
    'app/1: waiting for a connection "GET /b", 1 in the queue',
    'app/1: connection 1 released from lease 1 "GET /a" after <time>',
    'app/1: connection 1 acquired as lease 2 "GET /b" after <time>',
  ]);
  const timedOut = lines.findIndex((line) => line.startsWith('app/1: Timed out after <time> waiting for a connection'));
  t.is(timedOut, 6);
  t.is(lines[5], 'app/1: waiting for a connection "GET /c", 1 in the queue');
  t.deepEqual(lines.slice(-4), [
    'app/1: connection 1 released from lease 2 "GET /b" after <time>',
    'app/1: Lease #2 "GET /b" of "app" left behind: temporary table x. Await all work before the end, and finish what it began.',
    'app/1: connection 1 discarded: temporary table x',
    'app/1: connection 1 closed: temporary table x',
  ]);
});

test('without NODE_DEBUG, or with that of somebody else, nothing is written', async (t) => {
  for (const debug of ['', 'http', 'leaseholder']) t.is(await logged(t, all, { max: 1 }, debug), '');
});

test('waits for the write lane are lines of their own', async (t) => {
  const program = `
    await pool.run('CREATE TABLE item (name TEXT)');
    let finish;
    const holding = pool.transaction(() => new Promise((resolve) => { finish = resolve; }), { label: 'import' });
    await settled();
    const late = pool.transaction(() => {}, { label: 'late', timeout: 10 }).catch(() => {});
    await late;
    finish();
    await holding;`;
  const lines = linesOf(await logged(t, program));
  const wait = lines.find((line) => line.includes('write lane'));
  t.is(wait, 'app/1: waiting for a write lane "late", 1 in the queue');
  t.true(
    lines.some((line) => line.startsWith('app/1: Timed out after <time> waiting to write to "app" for "late"')),
    lines.join('\n'),
  );
});

test('leaks, deadlocks and errors are lines', async (t) => {
  const program = `
    const held = await pool.acquire({ label: 'slow' });
    await sleep(200);
    held.close();
    pool.on('release', () => { throw new Error('a listener\\nfails'); });
    await pool.withConnection(async () => {
      await pool.withConnection(() => {}, { fresh: true, timeout: 10 }).catch(() => {});
    }, { label: 'ring' });
    for (let round = 0; round < 1; round++) await settled();`;
  const lines = linesOf(await logged(t, program, { max: 1, leakThreshold: 50 }));
  const starts = [
    'app/1: Lease #1 "slow" of "app" has been held for <time>',
    'app/1: Lease #1 "slow" of "app" returned after <time>',
    'app/1: Suspected deadlock in "app"',
    'app/1: error: a listener\\u000afails',
  ];
  for (const start of starts)
    t.is(lines.filter((line) => line.startsWith(start)).length, 1, `${start}\n${lines.join('\n')}`);
});

test('two pools of one name are told apart by their number', async (t) => {
  const program = `
    const other = createPool(process.argv[1], { name: 'app' });
    for (const each of [pool, other]) await each.withConnection(() => {});
    await other.close();`;
  const lines = linesOf(await logged(t, program));
  t.deepEqual(
    lines.filter((line) => line.includes('opened')),
    ['app/1: connection 1 opened in <time>', 'app/2: connection 1 opened in <time>'],
  );
});

test('names and labels can not break out of their line', async (t) => {
  const hostile = 'a\nLEASEHOLD 1: b\u001b[2J\u202ec %s %d';
  const program = `
    const label = ${JSON.stringify(hostile)};
    const db = await pool.acquire({ label });
    await pool.acquire({ label, timeout: 5 }).catch(() => {});
    db.discard(label);
    db.exec('BEGIN');
    db.close();`;
  const written = await logged(t, program, { name: hostile, max: 1 });
  const escaped = 'a\\u000aLEASEHOLD 1: b\\u001b[2J\\u202ec %s %d';
  for (const character of ['\u001b', '\u202e']) t.false(written.includes(character));
  const lines = written.split('\n').filter((line) => line.startsWith('LEASEHOLD'));
  t.true(lines.length >= 7, written);
  for (const line of lines) {
    t.true(line.replace(/^LEASEHOLD \d+: /, '').startsWith(`${escaped}/1: `), line);
    t.false(line.startsWith('LEASEHOLD 1: b'), line);
  }
  t.true(written.includes(`acquired as lease 1 "${escaped}" after`));
  t.true(written.includes(`connection 1 discarded: ${escaped}`));
});

test('values of statements are not in the log', async (t) => {
  const program = `
    await pool.run('CREATE TABLE item (name TEXT)');
    await pool.run('INSERT INTO item VALUES (?)', ['s3cret']);
    await pool.transaction((tx) => { tx.prepare('INSERT INTO item VALUES (?)').run('s3cret'); throw new Error('x'); }).catch(() => {});
    await pool.get('SELECT * FROM item WHERE name = ?', ['s3cret']);`;
  const written = await logged(t, program);
  t.true(written.includes('released from lease'));
  t.false(written.includes('s3cret'));
});
