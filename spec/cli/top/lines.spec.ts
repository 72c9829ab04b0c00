import test from 'ava';
import { Lines } from '../../../lib/cli/top/lines.ts';
import { inspectorServer } from './support/inspector-server.ts';
import { run } from './support/run.ts';
import { holder, note, poolState, poolTick, report, Simulation, start } from './support/simulation.ts';

function minute(options?: ConstructorParameters<typeof Simulation>[0]): Simulation {
  const simulation = new Simulation(options);
  for (let tick = 0; tick < 60; tick++) simulation.tick();
  return simulation;
}

/** What is written for these reports, line by line. */
function lines(reports: readonly ReturnType<typeof report>[], interval = 2000): string[] {
  let text = '';
  const write = (part: string) => {
    text += part;
  };
  const written = new Lines({ write }, interval);
  for (const told of reports) written.add(told);
  return text.split('\n').slice(0, -1);
}

const at = (seconds: number, notes: Parameters<typeof note>[0][] = []) =>
  report({
    complete: seconds === 0,
    server: { now: start + seconds * 1000 },
    ticks: [
      {
        number: seconds,
        at: start + seconds * 1000,
        loop: { delay: 12, busy: 0 },
        pools: [poolTick({ notes: notes.map((part) => note({ at: start + seconds * 1000, ...part })) })],
      },
    ],
  });

test('there is a line a pool and period, though reports come more often', (t) => {
  t.is(lines([0, 1, 2, 3, 4, 5, 6].map((seconds) => at(seconds))).length, 4);
  t.is(lines([0, 0.9, 1.9, 2.9, 3.9].map((seconds) => at(seconds))).length, 3, 'early by less than half a tick');
});

test('the figures are in the line', (t) => {
  const state = poolState({
    leased: 8,
    waiting: 2,
    idle: 0,
    lane: { holder: { pool: 'app', label: 'POST "x"', kind: 'statement', age: 40, lease: 1 }, waiting: 3 },
    holders: [holder({ age: 4200, label: undefined })],
  });
  const [line = ''] = lines([{ ...at(0), pools: [state] }]);
  t.regex(
    line,
    /^\d\d:\d\d:\d\d app leased 8\/8 FULL, idle 0, waiting 2, lane 40 ms "POST \\"x\\"", lane waiting 3, oldest 4\.2 s no label, loop 12 ms$/,
  );
});

test('a closed pool has no figures', (t) => {
  const [line = ''] = lines([{ ...at(0), pools: [poolState({ closed: true })] }]);
  t.regex(line, /^\d\d:\d\d:\d\d app closed$/);
});

test('what went wrong between two lines comes before the second, each once', (t) => {
  const written = lines([
    at(0),
    at(1, [{ message: 'One.\nMore of it.' }]),
    at(2, [{ message: 'Two\u001b[2J.' }]),
    at(4),
  ]);
  t.deepEqual(
    written.map((line) => line.slice('00:00:00 '.length).split(',')[0]),
    ['app leased 0/8', 'app timeout: One.', 'app timeout: Two␛[2J.', 'app leased 0/8', 'app leased 0/8'],
  );
});

test('where the output is no terminal there are lines without sequences, a line a pool', async (t) => {
  const simulation = minute({ pools: ['app', 'jobs'] });
  const server = await inspectorServer(t, simulation);
  const running = run(t, ['top', server.url]);
  await running.until((stdout) => stdout.includes('jobs leased'));
  for (let tick = 0; tick < 2; tick++) simulation.tick();
  server.tick();
  await running.until((stdout) => stdout.split('jobs leased').length === 3);
  t.false(running.stdout().includes('\u001b'));
  t.is(running.stderr(), '');
  running.child.kill('SIGINT');
  t.is(await running.ended, 130);
});

test('a server that goes and comes back is told of on stderr', async (t) => {
  const simulation = minute();
  const server = await inspectorServer(t, simulation);
  const running = run(t, ['top', server.url]);
  await running.until((stdout) => stdout.includes('app leased'));
  await server.close();
  await running.until((_, stderr) => stderr.includes('ECONNREFUSED'));
  simulation.tick();
  await inspectorServer(t, simulation, { port: server.port });
  await running.until((_, stderr) => stderr.endsWith(': live\n'));
  for (const line of running.stderr().trimEnd().split('\n'))
    t.regex(line, /^leasehold top: 127\.0\.0\.1:\d+\/_pool: (?:lost: .*; trying again|live)$/);
  t.notRegex(running.stdout(), /lost|live/);
});

test('--json is each report as a line of JSON', async (t) => {
  const simulation = minute();
  const server = await inspectorServer(t, simulation);
  const running = run(t, ['top', server.url, '--json']);
  await running.until((stdout) => stdout.endsWith('\n'));
  simulation.tick();
  server.tick();
  await running.until((stdout) => stdout.split('\n').length === 3);
  const [first, second] = running
    .stdout()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ReturnType<typeof report>);
  t.true(first?.complete);
  t.is(first?.ticks.length, 60);
  t.deepEqual(
    second?.ticks.map(({ number }) => number),
    [60],
  );
});

test('--json with --once is one line, in which nothing controls a terminal', async (t) => {
  const label = 'a\u009b31m\u202e\u007f\u001b[31m注';
  const told = report({ pools: [poolState({ holders: [holder({ label })] })] });
  const server = await inspectorServer(t, { report: () => told });
  const running = run(t, ['top', server.url, '--json', '--once']);
  t.is(await running.ended, 0);
  t.notRegex(running.stdout().trimEnd(), /[\p{Cc}\u202e]/u);
  t.is((JSON.parse(running.stdout()) as typeof told).pools[0]?.holders[0]?.label, label);
});

test('--pool shows one of several, whatever the way', async (t) => {
  const server = await inspectorServer(t, minute({ pools: ['app', 'jobs'] }));
  const picture = run(t, ['top', server.url, '--once', '--pool', 'jobs']);
  t.is(await picture.ended, 0);
  t.regex(picture.stdout(), /^jobs /);
  const json = run(t, ['top', server.url, '--once', '--json', '--pool', 'jobs']);
  t.is(await json.ended, 0);
  const told = JSON.parse(json.stdout()) as ReturnType<typeof report>;
  t.deepEqual(
    told.pools.map(({ name }) => name),
    ['jobs'],
  );
  t.true(told.ticks.every(({ pools }) => pools.length === 1 && pools[0]?.pool === 2));
  t.deepEqual(
    told.trends.map(({ pool }) => pool),
    [2],
  );
  const none = run(t, ['top', server.url, '--once', '--pool', 'x']);
  t.is(await none.ended, 1);
  t.is(none.stderr(), 'leasehold top: There is no pool "x"; there is "app", "jobs".\n');
});

test('--once is one picture, as wide as COLUMNS and as high as --lines, and it is over', async (t) => {
  const server = await inspectorServer(t, minute());
  const running = run(t, ['top', `${server.url}/`, '--once', '--lines', '7'], { COLUMNS: '60' });
  t.is(await running.ended, 0);
  const rows = running.stdout().trimEnd().split('\n');
  t.is(rows.length, 7);
  t.is(rows[0]?.length, 60);
  t.false(running.stdout().includes('\u001b'));
  t.deepEqual(server.asked, ['/_pool/data']);
});

for (const columns of ['0', '-5', '1e9', '1000000000', 'Infinity', 'wide']) {
  test(`--once is 80 columns wide where COLUMNS is ${columns}`, async (t) => {
    const server = await inspectorServer(t, minute());
    const running = run(t, ['top', server.url, '--once'], { COLUMNS: columns });
    t.is(await running.ended, 0, running.stderr());
    t.is(running.stdout().split('\n')[0]?.length, 80);
  });
}

for (const [args, env, coloured] of [
  [[], { FORCE_COLOR: '1' }, true],
  [[], { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
  [[], { FORCE_COLOR: '0' }, false],
  [['--no-color'], { FORCE_COLOR: '1' }, false],
  [[], {}, false],
] as const) {
  test(`${[...args, JSON.stringify(env)].join(' ')}: ${coloured ? 'colours' : 'no colours'} in what is not a terminal`, async (t) => {
    const server = await inspectorServer(t, minute());
    const running = run(t, ['top', server.url, '--once', ...args], env);
    t.is(await running.ended, 0);
    t.is(running.stdout().includes('\u001b[1;31m8/8 FULL'), coloured);
    t.is(running.stdout().includes('\u001b'), coloured);
  });
}

test('--header is sent with each request', async (t) => {
  const server = await inspectorServer(t, minute());
  const url = server.url.replace('//', '//ann:secret@');
  t.is(await run(t, ['top', url, '--once', '--header', 'x-team: pool']).ended, 0);
  t.is(server.headers[0]?.['x-team'], 'pool');
  t.is(server.headers[0]?.authorization, `Basic ${Buffer.from('ann:secret').toString('base64')}`);
});
