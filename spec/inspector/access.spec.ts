import test from 'ava';
import type { Peer } from '../../lib/inspector.ts';
import { openItems } from '../support/items.ts';
import { ask, here, inspect } from './support/serve.ts';

// Who is let in, and what those are told who are not. As a handler of the fetch standard.

const parts = ['/', '/data', '/events', '/lease?pool=1&lease=1'] as const;

/** What a refusal of one who is a stranger says. */
const stranger = (why: string) =>
  `Without "authorize", only clients on the same machine may see the inspector, and ${why}.\n`;

const otherMachine = 'the request comes from another machine';
const addresses: Readonly<Record<string, string | undefined>> = {
  '127.0.0.1': undefined,
  '127.8.9.1': undefined,
  '::1': undefined,
  '::ffff:127.0.0.1': undefined,
  '::FFFF:127.0.0.1': undefined,
  '10.0.0.1': otherMachine,
  '192.168.1.1': otherMachine,
  '8.8.8.8': otherMachine,
  '0.0.0.0': otherMachine,
  '128.0.0.1': otherMachine,
  '1.127.0.0': otherMachine,
  '127.0.0.1.evil.com': otherMachine,
  '127.evil.com': otherMachine,
  '::': otherMachine,
  '::2': otherMachine,
  'fe80::1%lo': otherMachine,
  '::ffff:10.0.0.1': otherMachine,
  '2001:db8::1': otherMachine,
  '': otherMachine,
  // Such as a Unix socket, which a proxy speaks to.
  undefined: 'it is not known where the request comes from',
};

for (const [address, why] of Object.entries(addresses)) {
  test(`a client from ${address || 'an empty address'} is ${why === undefined ? 'let in' : 'refused'}`, async (t) => {
    const page = inspect(t, await openItems(t));
    for (const part of parts) {
      const peer = address === 'undefined' ? {} : { address };
      const answer = await page(ask(part, {}, 'GET'), peer);
      if (why === undefined) t.not(answer.status, 403);
      else t.deepEqual([answer.status, await answer.text()], [403, stranger(why)]);
      if (answer.body?.locked === false && !answer.bodyUsed) await answer.body.cancel();
    }
  });
}

test('a handler that is not told of a peer lets nobody in', async (t) => {
  const page = inspect(t, await openItems(t));
  const answer = await page(ask('/data'));
  t.deepEqual([answer.status, await answer.text()], [403, stranger('it is not known where the request comes from')]);
});

const hosts: Readonly<Record<string, boolean>> = {
  localhost: true,
  'localhost:3000': true,
  LOCALHOST: true,
  'app.localhost': true,
  'app.localhost:80': true,
  '127.0.0.1': true,
  '127.0.0.1:65535': true,
  '[::1]': true,
  '[::1]:3000': true,
  'evil.com': false,
  'evil.com:3000': false,
  'localhost.evil.com': false,
  '127.0.0.1.evil.com': false,
  evillocalhost: false,
  'evil.com@localhost': false,
  'localhost@evil.com': false,
  'user:secret@localhost': false,
  'evil@127.0.0.1': false,
  'localhost/evil': false,
  'localhost?evil': false,
  'localhost#evil': false,
  'localhost\\evil': false,
  'localhost, evil.com': false,
  'evil.com, localhost': false,
  'localhost evil.com': false,
  'localhost:99999': false,
  'localhost:port': false,
  '[::1': false,
  '[::2]': false,
  '10.0.0.1': false,
  '0.0.0.0': false,
  '128.0.0.1': false,
  '%6cocalhost': false,
};

for (const [host, isIn] of Object.entries(hosts)) {
  test(`a request to the host ${host} is ${isIn ? 'let in' : 'refused, since a name of others may lead here'}`, async (t) => {
    const page = inspect(t, await openItems(t));
    for (const part of ['/', '/data']) {
      const answer = await page(ask(part, { host }), here);
      t.is(answer.status, isIn ? 200 : 403);
      if (!isIn) t.is(await answer.text(), stranger('the host it was sent to is no loopback address'));
    }
  });
}

test('a request without a host is refused', async (t) => {
  const page = inspect(t, await openItems(t));
  const answer = await page(new Request('http://localhost/data'), here);
  t.deepEqual([answer.status, await answer.text()], [403, stranger('the host it was sent to is no loopback address')]);
});

const marks = `forwarded via x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix
  x-forwarded-server x-forwarded forwarded-for x-real-ip x-client-ip x-cluster-client-ip cf-connecting-ip true-client-ip
  fly-client-ip fastly-client-ip x-envoy-external-address x-original-forwarded-for client-ip wl-proxy-client-ip
  x-azure-clientip x-appengine-user-ip x-vercel-forwarded-for x-nginx-proxy x-arr-ssl max-forwards cdn-loop cf-ray
  tailscale-user-login`
  .trim()
  .split(/\s+/);

for (const mark of marks) {
  test(`a request with the header ${mark} has come by a proxy, and is refused`, async (t) => {
    const page = inspect(t, await openItems(t));
    for (const value of ['127.0.0.1', '']) {
      const answer = await page(ask('/data', { [mark]: value }), here);
      t.is(answer.status, 403);
      t.is(await answer.text(), stranger(`the request was passed on by a proxy, as its "${mark}" header says`));
    }
  });
}

test('a request of HTTP/1.0 has come by a proxy, and is refused', async (t) => {
  const page = inspect(t, await openItems(t));
  const peers: readonly [Peer, number][] = [
    [{ ...here, version: '1.0' }, 403],
    [{ ...here, version: '1.1' }, 200],
    [{ ...here, version: '2.0' }, 200],
  ];
  for (const [peer, status] of peers) t.is((await page(ask('/data'), peer)).status, status, peer.version);
});

const origins: readonly [what: string, headers: Record<string, string>, status: number][] = [
  ['of its own page', { 'sec-fetch-site': 'same-origin' }, 200],
  ['by the address bar', { 'sec-fetch-site': 'none' }, 200],
  ['without a word of a site', {}, 200],
  ['of another site', { 'sec-fetch-site': 'cross-site' }, 403],
  ['of another name of the same site', { 'sec-fetch-site': 'same-site' }, 403],
  ['of a site nobody knows', { 'sec-fetch-site': 'whatever' }, 403],
  ['of another site that claims its origin', { 'sec-fetch-site': 'cross-site', origin: 'http://localhost' }, 403],
  ['of its own origin', { origin: 'http://localhost' }, 200],
  ['of its own origin with a port', { host: 'localhost:3000', origin: 'http://localhost:3000' }, 200],
  ['of its own origin in capitals', { host: 'LocalHost:3000', origin: 'http://localhost:3000' }, 200],
  ['of another origin', { origin: 'http://evil.com' }, 403],
  ['of another port', { host: 'localhost:3000', origin: 'http://localhost:3001' }, 403],
  ['of an opaque origin', { origin: 'null' }, 403],
  ['of an origin that is none', { origin: 'localhost' }, 403],
];

for (const [what, headers, status] of origins) {
  for (const authorize of [undefined, () => true]) {
    test(`data asked for ${what} is ${status}${authorize === undefined ? '' : ', also where all are let in'}`, async (t) => {
      const page = inspect(t, await openItems(t), { authorize });
      for (const part of ['/data', '/events', '/lease?pool=1&lease=1', '/deep/below/data']) {
        const answer = await page(ask(part, headers), here);
        if (status === 403) {
          t.is(answer.status, 403);
          t.is(await answer.text(), 'This is for the page of the inspector, not for others.\n');
        } else t.not(answer.status, 403);
        if (!answer.bodyUsed) await answer.body?.cancel();
      }
      t.is((await page(ask('/', headers), here)).status, 200, 'A link to the page may be anywhere');
    });
  }
}
