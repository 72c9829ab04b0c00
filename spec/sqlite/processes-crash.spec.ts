import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import Database from 'better-sqlite3';
import { temporaryFile } from '../support/files.ts';
import { libraryUrl, temporaryPool } from '../support/sqlite.ts';

/** How a process may end in the middle of a transaction, and what of its writes is left. */
const ends: Record<string, { readonly code: string; readonly exit: string; readonly stderr: RegExp }> = {
  'an uncaught exception': {
    code: "setTimeout(() => { throw new Error('bug') }); await new Promise(() => {});",
    exit: '1',
    stderr: /Error: bug/,
  },
  'an unhandled rejection': {
    code: "Promise.reject(new Error('bug')); await new Promise(() => {});",
    exit: '1',
    stderr: /Error: bug/,
  },
  'process.exit': { code: 'process.exit(3);', exit: '3', stderr: /^$/ },
  'a signal that nobody handles': {
    code: "process.kill(process.pid, 'SIGTERM'); await new Promise((resolve) => setTimeout(resolve, 10_000));",
    exit: 'SIGTERM',
    stderr: /^$/,
  },
  'process.abort': { code: 'process.abort();', exit: 'SIGABRT', stderr: /^/ },
};

for (const [end, { code, exit, stderr }] of Object.entries(ends)) {
  for (const journal_mode of ['WAL', 'DELETE']) {
    test(`after a crash by ${end} what was committed is there, and nothing of the open transaction (${journal_mode})`, async (t) => {
      const file = temporaryFile(t);
      const program = `
        import { createPool } from ${JSON.stringify(libraryUrl)};
        const pool = createPool(process.argv[1], { pragmas: { journal_mode: '${journal_mode}', cache_size: 5, cache_spill: 5 } });
        await pool.run('CREATE TABLE item (name TEXT, data BLOB)');
        await pool.run("INSERT INTO item VALUES ('kept', NULL)");
        await pool.transaction(async (tx) => {
          const insert = tx.prepare("INSERT INTO item VALUES ('never', zeroblob(1000))");
          // More than the cache holds, so that it is in the file or the WAL already.
          for (let row = 0; row < 100; row++) insert.run();
          await Promise.resolve();
          ${code}
        });`;
      const ended = spawnSync(process.execPath, ['--input-type=module', '-e', program, file], { encoding: 'utf8' });
      t.is(String(ended.signal ?? ended.status), exit, ended.stderr);
      t.regex(ended.stderr, stderr);

      const pool = temporaryPool(t, {}, file);
      t.deepEqual(await pool.all('SELECT name FROM item'), [{ name: 'kept' }]);
      await pool.run("INSERT INTO item VALUES ('after', NULL)");
      await pool.close();
      t.deepEqual(readdirSync(dirname(file)), ['app.db']);
      const raw = new Database(file, { readonly: true });
      t.is(raw.pragma('integrity_check', { simple: true }), 'ok');
      raw.close();
    });
  }
}
