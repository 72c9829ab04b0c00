import test from 'ava';
import type { Report } from '../../../lib/inspector/wire.ts';
import { endlessly, Following } from './support/following.ts';
import { type InspectorServer, inspectorServer } from './support/inspector-server.ts';
import { report, Simulation } from './support/simulation.ts';

function simulation(): Simulation {
  const simulated = new Simulation();
  for (let tick = 0; tick < 3; tick++) simulated.tick();
  return simulated;
}

const tickNumbers = ({ reports }: Following) => reports.flatMap(({ ticks }) => ticks.map(({ number }) => number));

test('reports come by the stream, each once, and one connection is enough', async (t) => {
  const simulated = simulation();
  const server = await inspectorServer(t, simulated);
  const following = new Following(t, server.url);
  await following.until(({ reports }) => reports.length === 1);
  for (let tick = 0; tick < 3; tick++) {
    simulated.tick();
    server.tick();
    await following.until(({ reports }) => reports.length === tick + 2);
  }
  t.deepEqual(tickNumbers(following), [0, 1, 2, 3, 4, 5]);
  t.deepEqual(following.links, [{ state: 'live' }]);
  t.deepEqual(server.asked, ['/_pool/events']);
  await following.stop();
});

test('where the stream is held back it is asked for what came after the last, again and again', async (t) => {
  const simulated = simulation();
  const server = await inspectorServer(t, simulated, { buffers: true });
  const following = new Following(t, server.url, { ...endlessly, first: 300 });
  await following.until(({ reports }) => reports.length === 1);
  simulated.tick();
  await following.until((told) => tickNumbers(told).includes(3));
  t.deepEqual(tickNumbers(following), [0, 1, 2, 3]);
  t.deepEqual(following.links, [{ state: 'polling' }]);
  // A stream may be given up before the server has heard of it.
  const asked = server.asked.filter((path) => path !== '/_pool/events');
  t.deepEqual(asked.slice(0, 2), ['/_pool/data', '/_pool/data?after=2&server=one']);
  await following.stop();
});

for (const [what, status, type] of [
  ['forbidden', 403, 'text/plain'],
  ['answered with a page', 200, 'text/html'],
  ['not there', 404, 'text/plain'],
] as const) {
  test(`where the stream is ${what} but the data is not, the data is asked for`, async (t) => {
    const server = await inspectorServer(t, simulation(), {
      instead: ({ url }, response) => {
        if (url !== '/_pool/events') return false;
        response.writeHead(status, { 'content-type': type }).end('no');
        return true;
      },
    });
    const following = new Following(t, server.url);
    await following.until(({ links }) => links.length === 1);
    t.deepEqual(following.links, [{ state: 'polling' }]);
    await following.stop();
  });
}

test('while the data is asked for the stream is tried again, until it comes through', async (t) => {
  let refusals = 0;
  const simulated = simulation();
  const server = await inspectorServer(t, simulated, {
    instead: ({ url }, response) => {
      if (url !== '/_pool/events' || refusals === 2) return false;
      refusals++;
      response.writeHead(503).end();
      return true;
    },
  });
  const following = new Following(t, server.url, { ...endlessly, again: 50 });
  await following.until(({ links }) => links.at(-1)?.state === 'live');
  t.deepEqual(
    following.links.map(({ state }) => state),
    ['polling', 'polling', 'live'],
  );
  const asked = server.asked.length;
  simulated.tick();
  server.tick();
  await following.until((told) => tickNumbers(told).includes(3));
  t.is(server.asked.length, asked);
  await following.stop();
});

test('a server that sends nothing more is called silent, and live when it goes on', async (t) => {
  const simulated = simulation();
  const server = await inspectorServer(t, simulated);
  const following = new Following(t, server.url, { ...endlessly, next: 50 });
  await following.until(({ links }) => links.at(-1)?.state === 'silent');
  simulated.tick();
  server.tick();
  await following.until(({ links }) => links.length >= 3);
  t.deepEqual(
    following.links.slice(0, 3).map(({ state }) => state),
    ['live', 'silent', 'live'],
  );
  t.deepEqual(server.asked, ['/_pool/events']);
  await following.stop();
});

test('a stream on which nothing comes any more is at last opened anew', async (t) => {
  const event = `event: report\ndata: ${JSON.stringify(report())}\n\n`;
  const server = await inspectorServer(t, simulation(), {
    instead(_request, response) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(event + event);
      return true;
    },
  });
  const following = new Following(t, server.url, { ...endlessly, last: 50 });
  await following.until(({ links }) => links.length >= 3);
  t.deepEqual(following.links.slice(0, 3), [
    { state: 'live' },
    { state: 'lost', reason: 'nothing comes any more' },
    { state: 'live' },
  ]);
  t.deepEqual(server.asked.slice(0, 2), ['/_pool/events', '/_pool/events']);
  await following.stop();
});

test('a stream that ends after its first report is one that does not come through', async (t) => {
  const simulated = simulation();
  const server = await inspectorServer(t, simulated);
  const following = new Following(t, server.url);
  await following.until(({ reports }) => reports.length === 1);
  server.cut('whole');
  await following.until(({ links }) => links.at(-1)?.state === 'polling');
  simulated.tick();
  await following.until((told) => tickNumbers(told).includes(3));
  t.is(server.asked.filter((path) => path.endsWith('/events')).length, 1);
  await following.stop();
});

for (const [how, links] of [
  // As an inspector ends each that has become old.
  ['whole', ['live', 'live']],
  ['torn', ['live', 'lost', 'live']],
] as const) {
  test(`a stream that ends ${how} in the middle is opened again, and begins with a complete report`, async (t) => {
    const simulated = simulation();
    const server = await inspectorServer(t, simulated);
    const following = new Following(t, server.url);
    await following.until(({ reports }) => reports.length === 1);
    simulated.tick();
    server.tick();
    await following.until(({ reports }) => reports.length === 2);
    server.cut(how);
    await following.until((told) => told.links.length === links.length);
    t.deepEqual(
      following.links.map(({ state }) => state),
      links,
    );
    t.deepEqual(
      following.reports.map(({ complete }) => complete),
      [true, false, true],
    );
    await following.stop();
  });
}

test('a server that is stopped and started again is found again, and its new ticks are told from the old ones', async (t) => {
  const server = await inspectorServer(t, simulation());
  const following = new Following(t, server.url);
  await following.until(({ reports }) => reports.length === 1);
  await server.close();
  await following.until(({ links }) => links.some(({ state }) => state === 'lost'));
  const lost = following.links.find((link) => link.state === 'lost');
  t.regex(lost?.state === 'lost' ? lost.reason : '', /\(ECONNREFUSED\)|stream ended|connection was closed/);
  const other = new Simulation({ id: 'two' });
  other.tick();
  const { port } = server;
  const restarted = await inspectorServer(t, other, { port });
  await following.until(({ reports }) => reports.at(-1)?.server.id === 'two');
  t.true(following.reports.at(-1)?.complete);
  t.is(restarted.port, port);
  await following.stop();
});

test('what is sent in pieces of a byte is what is sent whole', async (t) => {
  const told = report({ server: { node: '注文👩' } });
  const bytes = Buffer.from(`: hello\r\nevent: report\r\ndata: ${JSON.stringify(told)}\r\n\r\n`);
  const server = await inspectorServer(t, simulation(), {
    instead: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      for (const byte of bytes) response.write(Buffer.of(byte));
      return true;
    },
  });
  const following = new Following(t, server.url);
  await following.until(({ reports }) => reports.length === 1);
  t.deepEqual(following.reports, [JSON.parse(JSON.stringify(told)) as Report]);
  await following.stop();
});

for (const [what, stage] of [
  ['before the first report', async (_following: Following, server: InspectorServer) => await server.hasBeenAsked(1)],
  [
    'while the stream is open',
    async (following: Following) => await following.until(({ reports }) => reports.length > 0),
  ],
] as const) {
  test(`whoever follows can be stopped ${what}`, async (t) => {
    const held = what.startsWith('before');
    const server = await inspectorServer(t, simulation(), { instead: () => held });
    const following = new Following(t, server.url);
    await stage(following, server);
    await t.notThrowsAsync(following.stop());
  });
}
