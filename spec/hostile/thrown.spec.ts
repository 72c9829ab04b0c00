import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { temporaryFile } from '../support/files.ts';
import { libraryUrl } from '../support/sqlite.ts';
import { isReadable } from './values.ts';

/** What code may throw, as the text of an expression: some of it has to be tried in a process of its own. */
const shown = {
  undefined: 'undefined',
  null: 'null',
  'a symbol': "Symbol('x')",
  'an object without a prototype': 'Object.create(null)',
  'what can be awaited and then throws': '({ then() { throw 5; } })',
  'a text with escapes': "'a\\u001b[2J\\n  #2  admin\\u202e'",
  'a megabyte of text': "'x'.repeat(1e6)",
  'an error with a megabyte of text': "new Error('x\\n'.repeat(5e5))",
  'an error with escapes': "Object.assign(new Error('\\u001b[2J\\r\\n  #2  admin'), { code: '\\u0007\\n' })",
  'an error whose name is a symbol': "Object.assign(new Error('x'), { name: Symbol('x') })",
  'a frozen error': "Object.freeze(new Error('x'))",
  'an error of another realm': 'vm.runInNewContext(\'new Error("x")\')',
} as const;

/** What can not be looked at, or says something else than such things do. */
const unlookable = {
  'a number of thousands of digits': '10n ** 10_000n',
  'an error whose message is a number': "Object.assign(new Error('x'), { message: 5 })",
  'an error whose message is the body of an answer': "Object.assign(new Error('x'), { message: { reason: 'x' } })",
  'an error whose message can not be read':
    "Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('trap'); } })",
  'an error whose code is none': "Object.assign(new Error('x'), { code: { toString() { throw new Error('trap'); } } })",
  'an error whose code can not be read':
    "Object.defineProperty(new Error('x'), 'code', { get() { throw new Error('trap'); } })",
  'an object that does not tell its prototype': "new Proxy({}, { getPrototypeOf() { throw new Error('trap'); } })",
  'a revoked proxy': '(({ proxy, revoke }) => (revoke(), proxy))(Proxy.revocable({}, {}))',
} as const;

/** What came of a hook that always throws. */
interface Told {
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly isCause: boolean;
  readonly waiting: number;
  readonly leased: number;
  readonly size: number;
  readonly closed: boolean;
}

// In a process of its own, because a rejection that nobody handles ends that. Only a pool that does not close is waited for.
const program = `
  import vm from 'node:vm';
  import { createPool } from ${JSON.stringify(libraryUrl)};
  const [file, expression] = process.argv.slice(1);
  const thrown = new Function('vm', 'return ' + expression)(vm);
  const tell = async (hook, acquireTimeout) => {
    const pool = createPool(file, { acquireTimeout, [hook]() { throw thrown; } });
    pool.on('error', () => {});
    let failure = {};
    try {
      (await pool.acquire()).close();
    } catch (error) {
      failure = error;
    }
    const { code, message, cause } = failure;
    const { waiting, leased } = pool.stats();
    const late = Promise.withResolvers();
    const timer = setTimeout(late.resolve, 3000, false);
    const closed = await Promise.race([pool.close().then(() => true), late.promise]);
    clearTimeout(timer);
    const { size } = pool.stats();
    return { code, message, isCause: Object.is(cause, thrown), waiting, leased, size, closed };
  };
  process.send([await tell('onOpen'), await tell('onAcquire', 1000), await tell('onRelease')]);`;

/** What came of each hook. */
async function toldOf(t: ExecutionContext, expression: string): Promise<readonly [Told, Told, Told]> {
  const args = ['--input-type=module', '-e', program, temporaryFile(t), expression];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  if (child.stderr === null) throw new Error('It has no stderr');
  t.teardown(() => void child.kill());
  const said: unknown[] = [];
  child.on('message', (message) => void said.push(message));
  const errors = text(child.stderr);
  await once(child, 'close');
  if (said.length === 0 || child.exitCode !== 0) throw new Error(await errors);
  return said[0] as readonly [Told, Told, Told];
}

const idle = { waiting: 0, leased: 0, size: 0, closed: true };

for (const [verify, group] of [
  [test, shown],
  [test, unlookable],
] as const) {
  for (const [what, expression] of Object.entries(group)) {
    verify(`a hook may throw ${what}: who asked is told of it, and nothing is left`, async (t) => {
      const [opened, acquired, released] = await toldOf(t, expression);
      t.like(opened, { code: 'ERR_LEASEHOLD_OPEN', isCause: true, ...idle });
      isReadable(t, opened.message ?? t.fail());
      // What is no value is no cause.
      const isCause = !['undefined', 'null'].includes(expression);
      t.like(acquired, { code: 'ERR_LEASEHOLD_ACQUIRE_TIMEOUT', ...(isCause && { isCause }), ...idle });
      isReadable(t, acquired.message ?? t.fail(), 3);
      t.like(released, { ...idle, code: undefined });
    });
  }
}
