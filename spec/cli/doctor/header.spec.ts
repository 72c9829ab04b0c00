import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { temporaryFile } from '../../support/files.ts';
import { build, type Diagnosis, diagnose, manyRows, traceOf } from './support.ts';

const adviceOf = ({ findings }: Diagnosis) => findings.flatMap(({ advice }) => advice ?? []).join('\n');
const textOf = ({ findings }: Diagnosis) => findings.map(({ found, why }) => `${found} ${why}`).join('\n');

for (const [what, change] of [
  ['says that pages have 0 bytes', (bytes) => bytes.writeUInt16BE(0, 16)],
  ['says that pages have 3 bytes', (bytes) => bytes.writeUInt16BE(3, 16)],
  ['says that pages have 256 bytes', (bytes) => bytes.writeUInt16BE(256, 16)],
] as const satisfies readonly (readonly [string, (bytes: Buffer) => unknown])[]) {
  test.serial(`with a header that ${what} nothing is reckoned, and it is not to be made anew`, async (t) => {
    const file = temporaryFile(t);
    build(file, manyRows);
    const bytes = readFileSync(file);
    change(bytes);
    writeFileSync(file, bytes);
    const before = traceOf(file);
    const found = await diagnose(file);
    t.is(found.code, 3);
    t.is(found.one('file.content').state, 'problem');
    t.regex(found.one('file.content').found, /its header is nonsense or cut off\.$/);
    t.notRegex(textOf(found), /NaN|Infinity|-\d/);
    t.regex(adviceOf(found), /Go back to the last backup/);
    t.notRegex(adviceOf(found), /VACUUM/);
    t.deepEqual(traceOf(file), before);
  });
}

test.serial('a header that was cut off is told of', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  writeFileSync(file, readFileSync(file).subarray(0, 50));
  const found = await diagnose(file);
  t.is(found.code, 3);
  t.regex(found.one('file.content').found, /its header is nonsense or cut off\.$/);
});

test.serial('more free pages than there are pages are a problem, and nothing that VACUUM mends', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows);
  const bytes = readFileSync(file);
  bytes.writeUInt32BE(0x7f_ff_ff_ff, 36);
  writeFileSync(file, bytes);
  const found = await diagnose(file);
  t.is(found.code, 3);
  t.is(found.one('space.free-pages').state, 'problem');
  t.regex(
    found.one('space.free-pages').found,
    /^The header tells of 2,147,483,647 free pages, and the file has \d+ in all\.$/,
  );
  t.notRegex(adviceOf(found), /VACUUM/);
});

test.serial(
  'a damaged file is not advised to be made anew, one that is whole is, with what that may change',
  async (t) => {
    const file = temporaryFile(t);
    build(
      file,
      `PRAGMA page_size = 512; ${manyRows} CREATE TABLE heap (a); INSERT INTO heap SELECT randomblob(900) FROM item; DELETE FROM heap`,
      { wal: false },
    );
    const whole = adviceOf(await diagnose(file));
    t.is(whole.match(/VACUUM.*may get other rowids/g)?.length, 2, whole);
    const bytes = readFileSync(file);
    // The root of the index, which is the third page.
    bytes.fill(0xa5, 512 * 2 + 8, 512 * 3);
    writeFileSync(file, bytes);
    const damaged = await diagnose(file);
    t.is(damaged.code, 3);
    t.notRegex(adviceOf(damaged), /VACUUM/);
  },
);
