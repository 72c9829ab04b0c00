import test from 'ava';
import type { LeasedDatabase } from '../../lib/index.ts';
import { loosely } from '../support/sqlite.ts';
import { compileExtension, entryPoint } from './extension.ts';
import { auditedPool, fingerprint, refuses } from './fingerprint.ts';

// What is registered with a connection by other ways than the methods that are there for it.

const knowsStray = (db: LeasedDatabase) =>
  !refuses(() => db.exec('CREATE VIRTUAL TABLE temp.stray USING fts3tokenize (stray)'));

for (const name of ['fts3_tokenizer', '"FTS3_Tokenizer"', '[fts3_tokenizer] /* ( */ ']) {
  for (const before of ['SELECT', 'WITH stray AS (SELECT 1) SELECT', '/* of the first */ SELECT']) {
    test(`a tokenizer set by a query, ${before} ${name}, does not reach the next holder`, async (t) => {
      const { pool, dirt } = auditedPool(t);
      t.false(await pool.withConnection(knowsStray));
      await pool.withConnection((db) => {
        const pointer = db.prepare(`${before} ${name}(?)`).pluck().get('simple');
        db.prepare(`${before} ${name}(?, ?)`).get('stray', pointer);
        t.true(knowsStray(db));
        db.exec('DROP TABLE stray');
      });
      t.false(await pool.withConnection(knowsStray));
      t.deepEqual(dirt[0]?.traces, ['tokenizer']);
    });
  }
}

// SQLite has unloaded it by then, so that to call the function ends the process. It is enough to see that it is there.
test('what an extension has registered before it failed does not reach the next holder', async (t) => {
  const extension = compileExtension(t, 'SQLITE_ERROR');
  if (extension === undefined) {
    t.pass();
    return;
  }
  const { pool, dirt } = auditedPool(t);
  const before = await pool.withConnection(fingerprint);
  await pool.withConnection((db) => {
    t.true(refuses(() => loosely(db, 'loadExtension', [extension, entryPoint])));
    t.notDeepEqual(fingerprint(db), before, 'It was there');
  });
  t.deepEqual(await pool.withConnection(fingerprint), before);
  t.deepEqual(dirt[0]?.traces, ['extension']);
});
