import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { CommandError } from '../../../lib/cli/command.ts';
import { readAddress, urlOf } from '../../../lib/cli/top/address.ts';
import { fetchReport } from '../../../lib/cli/top/feed.ts';
import { ask, reasonOf, UnreachableError } from '../../../lib/cli/top/request.ts';
import { makeCertificates } from '../../support/postgres-certificates.ts';
import { endlessly, Following } from './support/following.ts';
import { inspectorServer } from './support/inspector-server.ts';
import { holder, poolState, poolTick, report, Simulation } from './support/simulation.ts';

function simulation(): Simulation {
  const simulated = new Simulation();
  for (let tick = 0; tick < 3; tick++) simulated.tick();
  return simulated;
}

const json =
  (value: unknown, status = 200) =>
  (_: IncomingMessage, response: ServerResponse) => {
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(typeof value === 'string' ? value : JSON.stringify(value));
    return true;
  };

const says =
  (status: number, headers: Record<string, string>, body = '') =>
  (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, headers).end(body);
    return true;
  };

const tick = (pool: object) => ({
  ticks: [{ number: 1, at: 1, loop: { delay: 0, busy: 0 }, pools: [{ ...poolTick(), ...pool }] }],
});

for (const [what, instead, message] of [
  [
    'asks for a password',
    says(401, { 'www-authenticate': 'Basic' }),
    /: it asks who you are \(401\): put user:password@/,
  ],
  [
    'refuses and says why',
    says(403, { 'content-type': 'text/plain' }, 'Only from this\u001b[31m machine.\nx'),
    /: it refuses \(403\): Only from this␛\[31m machine\.$/,
  ],
  ['is not there', says(404, {}), /: there is no inspector at this path \(404\)$/],
  [
    'redirects',
    says(302, { location: 'http://127.0.0.2/login' }),
    /: it redirects \(302\) to "http:\/\/127\.0\.0\.2\/login", which is not followed$/,
  ],
  ['redirects nowhere', says(307, {}), /: it redirects \(307\) to nowhere, which is not followed$/],
  ['refuses with a page', says(403, { 'content-type': 'text/html' }, '<p>No.'), /: it refuses \(403\)$/],
  ['refuses without a word', says(403, { 'content-type': 'text/plain' }, '\n'), /: it refuses \(403\)$/],
  [
    'refuses and breaks off',
    (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(403, { 'content-type': 'text/plain', 'content-length': '100' }).flushHeaders();
      // After the head has gone out: then there is an answer, and its text can not be read.
      response.write('', () => setImmediate(() => response.destroy()));
      return true;
    },
    /: (?:it refuses \(403\)|.*closed.*)$/,
  ],
  ['is of no type', says(200, {}, 'x'), /: what is there is no inspector: it answers with of no type$/],
  ['is broken', says(500, {}), /: it answers with status 500$/],
  [
    'is a page',
    says(200, { 'content-type': 'text/html' }),
    /: what is there is no inspector: it answers with text\/html$/,
  ],
  ['sends no JSON', json('<'), /: it is no inspector: what it sends is not JSON$/],
  ['sends other JSON', json({ ok: true }), /: it is no inspector: what it sends is no report$/],
  ['sends null', json('null'), /: it is no inspector: what it sends is no report$/],
  [
    'sends half a report',
    json({ protocol: 1, server: { id: 'x' } }),
    /: it is no inspector: what it sends is only part of a report$/,
  ],
  ...Object.entries({
    'a tick that is null': { ticks: [null] },
    'a pool that is null': { pools: [null] },
    'a pool of which only the number is there': { pools: [{ id: 1 }] },
    'connections that are no list': { pools: [poolState({ connections: 'abc' as never })] },
    'a label that is a number': { pools: [poolState({ holders: [holder({ label: 7 as never })] })] },
    'a lease that is null': tick({ bars: [null] }),
    'an age that is null': { pools: [poolState({ holders: [holder({ age: null as never })] })] },
    'a note without a message': tick({ notes: [{ at: 1, kind: 'leak' }] }),
  }).map(
    ([hole, part]) =>
      [
        `sends ${hole}`,
        json({ ...report(), ...part }),
        /: it is no inspector: what it sends is only part of a report$/,
      ] as const,
  ),
  [
    'speaks another protocol',
    json({ ...report(), protocol: 2 }),
    /speaks version 2 of the protocol, and this leasehold version 1/,
  ],
] as const) {
  test(`an inspector that ${what} is an error of one line, whether it is asked once or followed`, async (t) => {
    const server = await inspectorServer(t, simulation(), { instead });
    const address = readAddress(server.url, []);
    const asked = await t.throwsAsync(fetchReport(address, new AbortController().signal), {
      instanceOf: CommandError,
      message,
    });
    t.is(asked?.exitCode, 1);
    t.false(asked?.message.includes('\n'));
    await t.throwsAsync(new Following(t, server.url).ended, { instanceOf: CommandError, message });
  });
}

test('a header that lets in is not sent to where a redirect leads', async (t) => {
  const elsewhere = await inspectorServer(t, simulation());
  const server = await inspectorServer(t, simulation(), { instead: says(302, { location: `${elsewhere.url}/data` }) });
  const address = readAddress(server.url, ['x-token: secret']);
  await t.throwsAsync(fetchReport(address, new AbortController().signal), { message: /redirects/ });
  t.is(server.headers[0]?.['x-token'], 'secret');
  t.deepEqual(elsewhere.asked, []);
});

for (const [what, url, message] of [
  ['nobody listens', (port: number) => `http://127.0.0.1:${port}`, /nothing listens there \(ECONNREFUSED\)/],
  ['there is no such host', () => 'http://host.invalid', /\((?:ENOTFOUND|EAI_AGAIN)\)$/],
] as const) {
  test(`where ${what} it says so`, async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await t.throwsAsync(new Following(t, url(port)).ended, { instanceOf: CommandError, message });
    // By asking for the data instead of the stream nobody would be reached either, or somebody who has come meanwhile.
    const address = readAddress(url(port), []);
    await t.throwsAsync(ask(urlOf(address, 'events'), address, 'text/event-stream', new AbortController().signal), {
      instanceOf: UnreachableError,
      message,
    });
  });
}

test('https to a server that speaks http is said to be that', async (t) => {
  const server = await inspectorServer(t, simulation());
  const url = server.url.replace('http:', 'https:');
  await t.throwsAsync(new Following(t, url).ended, {
    instanceOf: CommandError,
    message: /does not speak https|closed/,
  });
});

test('https with a certificate that nobody vouches for says how to vouch for it', async (t) => {
  const { certificate: cert, key } = makeCertificates();
  const server = createSecureServer({ cert, key }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await t.throwsAsync(new Following(t, `https://127.0.0.1:${port}`).ended, {
    instanceOf: CommandError,
    message: /: its certificate is not trusted \([A-Z_]+\): name its authority in NODE_EXTRA_CA_CERTS$/,
  });
});

for (const [error, said] of [
  [Object.assign(new Error('bad option'), { code: 'EPROTO' }), 'bad option (EPROTO)'],
  [new TypeError('fetch failed', { cause: new Error('bad port') }), 'bad port'],
  [new TypeError('fetch failed', { cause: 'no reason' }), 'no reason'],
  [new Error('a fault', { cause: null }), 'null'],
] as const) {
  test(`a failure without a name of its own is told in its own words: ${said}`, (t) => {
    t.is(reasonOf(error), said);
  });
}

test('a question that is not answered is an error', async (t) => {
  const server = await inspectorServer(t, simulation(), { instead: () => true });
  const patience = { ...endlessly, first: 20, answer: 20 };
  const message = /: it does not answer$/;
  const address = readAddress(server.url, []);
  await t.throwsAsync(fetchReport(address, new AbortController().signal, patience), { message });
  await t.throwsAsync(new Following(t, server.url, patience).ended, { instanceOf: CommandError, message });
});
