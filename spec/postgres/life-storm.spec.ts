import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { Random } from '../soak/random.ts';
import { postgresUrl } from '../support/postgres.ts';
import { UsageError } from '../support/tool.ts';
import { Bank } from './storm/bank.ts';
import { Findings } from './storm/findings.ts';
import { readOptions } from './storm/options.ts';

const program = fileURLToPath(new URL(`storm/run${extname(import.meta.url)}`, import.meta.url));

const coded = (code: string) => Object.assign(new Error(code), { code });

async function run(t: ExecutionContext, args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => void child.kill('SIGKILL'));
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, errors };
}

test('a storm of 3 s holds, and its process ends by itself', async (t) => {
  const args = ['--seconds', '3', '--kills', '10', '--restarts', '1', '--seed', '7', '--workers', '12', '--max', '4'];
  const { code, output, errors } = await run(t, args);
  t.is(code, 0, output + errors);
  t.is(errors, '');
  t.regex(output, /^Seed 7: 12 workers on 4 connections for 3 s, 10 kills, 1 restarts\n/);
  t.regex(output, /\n {2}stop \(fast\): down \d+ ms, \d+ operations\/s before, (?:not seen )?back/);
  t.regex(output, /\n {2}transfers: [1-9]\d* committed, /);
  t.regex(output, /All held, with seed 7\.\n$/);
});

test('the help lists the options, and a bad one is refused in one line', async (t) => {
  const help = await run(t, ['--help']);
  t.is(help.code, 0);
  for (const option of ['--seconds', '--kills', '--restarts', '--seed', '--workers', '--max'])
    t.true(help.output.includes(option), option);
  const refused = await run(t, ['--seconds', '0']);
  t.is(refused.code, 2);
  t.is(refused.errors, '--seconds is an integer from 1 to 86400, not "0".\n');
  t.throws(() => readOptions(['--sed', '1'], () => 1), { instanceOf: UsageError, message: /Unknown option '--sed'/ });
  const defaults = { seconds: 30, kills: 100, restarts: 1, seed: 7, workers: 24, max: 8 };
  t.deepEqual(
    readOptions([], () => 7),
    defaults,
  );
});

test('an error counts as known by a code of ours, of the server or of an abort alone', (t) => {
  const findings = new Findings();
  for (const code of ['ERR_LEASEHOLD_CLOSED', 'ABORT_ERR', '57P01', '0A000']) findings.note(coded(code), 'a test');
  t.is(findings.count, 0);
  for (const error of [coded('EPIPE'), coded('ECONNRESET'), new Error('Connection terminated'), undefined])
    findings.note(error, 'a test');
  t.is(findings.count, 4);
});

test('the audit of the bank finds what was lost, what was not undone and what is there by half', async (t) => {
  const client = new Client({ connectionString: await postgresUrl(t) });
  await client.connect();
  try {
    const bank = new Bank();
    await bank.open(client);
    const audit = async () => {
      const findings = new Findings();
      await bank.audit(client, findings);
      return findings.violations.map((violation) => violation.split(':')[0]);
    };
    const [kept, lost, undone] = [bank, bank, bank].map((each) => each.transfer(new Random(1)).id);
    const write = (id: number | undefined) => client.query('INSERT INTO transfer VALUES ($1, 1, 2, 0)', [id]);
    bank.told.set(Number(kept), 'committed');
    bank.told.set(Number(undone), 'failed');
    await write(kept);
    t.deepEqual(await audit(), []);
    bank.told.set(Number(lost), 'committed');
    t.deepEqual(await audit(), ['lost']);
    await write(lost);
    await write(undone);
    t.deepEqual(await audit(), ['there']);
    await client.query('DELETE FROM transfer WHERE id = $1', [undone]);
    await write(99);
    t.deepEqual(await audit(), ['told to nobody']);
    await client.query('DELETE FROM transfer WHERE id = 99');
    await client.query('UPDATE account SET balance = balance - id + 2 WHERE id IN (1, 3)');
    t.deepEqual(await audit(), ['half committed', 'half committed']);
    await client.query('UPDATE account SET balance = balance + 1 WHERE id = 1');
    t.true((await audit()).includes('money'));
  } finally {
    await client.end();
  }
});
