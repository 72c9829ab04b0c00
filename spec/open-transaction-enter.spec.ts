import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { runEnterings } from './support/entering.ts';
import { temporaryDirectory } from './support/files.ts';

const expected: Record<string, unknown[]> = {
  'the callback is inside, and its caller is not': [
    ['before', false],
    ['in the callback', true, 1, 'a,b'],
    ['meanwhile', false, '', false],
    ['after', 'result', false, 'a,b'],
  ],
  'of two at once each is in its own, and their caller in none': [false, ['a', 'a,b'], false, 'a,b'],
  'one that nobody waits for leaves its caller outside': [false, false, true, false, 'a'],
  'what is left over of the callback is refused, and does not commit by itself': [
    'TRANSACTION_ENDED,TRANSACTION_ENDED,TRANSACTION_ENDED',
    'kept',
  ],
  'a callback that throws is rolled back, and what its library still does refused': ['ENOUGH', false, ''],
  'to enter when it has begun does the same': [true, false, 'a'],
  'without it the callback stays outside': [false, ''],
  'in a library inside another on the same pool it is a part': [true, 1, true, false, 'a,b,c'],
  'libraries on two pools nest, each in its own': [
    ['in both', true, true],
    ['after a part', true, true],
    ['after the inner one', true, false],
    ['after', false, false, 'a,b,d', 'c'],
  ],
  'a caller in a scope keeps that, and his transaction its scope': [
    ['in the callback', true],
    ['after', true, false],
    ['on the connection of the scope', true, true],
    ['after that', true, false],
  ],
  'inside transaction() it is a part, after which the caller is where he was': [true, true, 'a,b'],
  'where it does not begin the callback is not called, and nobody is inside': ['WRITE_TIMEOUT', false, '', 0],
};

test('what enters is inside from then on, and nobody else', async (t) => {
  const directory = temporaryDirectory(t);
  t.deepEqual(await runEnterings((name) => join(directory, name)), expected);
});

// How Node.js up to 22 carries contexts, and 24 on request.
const hooks = '--no-async-context-frame';

if (process.allowedNodeEnvironmentFlags.has('--async-context-frame')) {
  test('the same where contexts are carried by hooks', async (t) => {
    const directory = join(temporaryDirectory(t), 'hooks');
    mkdirSync(directory);
    const program = fileURLToPath(new URL(`support/entering${extname(import.meta.url)}`, import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [hooks, program, directory]);
    t.deepEqual(JSON.parse(stdout), expected);
  });
}
