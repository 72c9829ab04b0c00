import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { rows } from '../bench/inspector/kinds.ts';
import type { InspectorResult } from '../bench/inspector/report.ts';
import { temporaryDirectory } from './support/files.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

test('a quick run of the inspector measures every row, says what each adds and leaves nothing behind', async (t) => {
  const json = join(temporaryDirectory(t), 'result.json');
  const TMPDIR = temporaryDirectory(t);
  const { stdout } = await run(
    process.execPath,
    ['--expose-gc', 'bench/run.ts', 'inspector', '--quick', '--json', json],
    {
      cwd: root,
      env: { ...process.env, TMPDIR },
    },
  );
  t.deepEqual(readdirSync(TMPDIR), []);
  const { rows: measured, bars } = JSON.parse(readFileSync(json, 'utf8')) as InspectorResult;
  t.deepEqual(
    measured.map(({ id, viewers }) => [id, viewers]),
    rows.map(({ id, viewers }) => [id, viewers]),
  );
  const [base] = measured;
  for (const { id, title, processor, added, samples } of measured) {
    t.regex(stdout, new RegExp(String.raw`^\| ${title} +\|`, 'm'));
    t.is(samples.length, 2, id);
    t.true(samples.every((part) => part > 0) && processor.lower <= processor.upper, id);
    if (id === 'none') {
      t.is(added, undefined);
      continue;
    }
    // Each round beside the same round of the first row.
    const differences = samples.map((part, round) => part - (base?.samples[round] ?? Number.NaN));
    t.true(
      Math.abs((added?.lower ?? Number.NaN) - (Math.min(...differences) * 3 + Math.max(...differences)) / 4) < 1e-4,
      id,
    );
  }
  t.is(bars.length, 1);
  for (const { value, limit, met } of bars) {
    t.is(met, value <= limit);
    t.regex(stdout, met ? /\| met +\|/ : /\| NOT met +\|/);
  }
});
