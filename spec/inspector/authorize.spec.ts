import test from 'ava';
import { inspector } from '../../lib/inspector.ts';
import { eventually } from '../http/support-b.ts';
import { openItems } from '../support/items.ts';
import { ask, here, inspect, serve } from './support/serve.ts';

// Who is let in by `authorize`, and what may be asked for at all.

const parts = ['/', '/data', '/events', '/lease?pool=1&lease=99'] as const;

const verdicts: readonly [what: string, verdict: unknown, isIn: boolean][] = [
  ['true', true, true],
  ['a promise of true', Promise.resolve(true), true],
  // biome-ignore lint/suspicious/noThenProperty: what is like a promise is the subject
  ['what is like a promise of true', { then: (resolve: (value: boolean) => void) => resolve(true) }, true], // oxlint-disable-line unicorn/no-thenable
  ['false', false, false],
  ['a promise of false', Promise.resolve(false), false],
  ['nothing', undefined, false],
  ['null', null, false],
  ['1', 1, false],
  ['a word', 'yes', false],
  ['an object', { user: 'me' }, false],
  ['a true that is an object', Object(true), false],
  ['a promise of a user', Promise.resolve({ user: 'me' }), false],
  ['a function', () => true, false],
];

for (const [what, verdict, isIn] of verdicts) {
  test(`authorize that says ${what} ${isIn ? 'lets in' : 'refuses'}, wherever one comes from`, async (t) => {
    const page = inspect(t, await openItems(t), { authorize: () => verdict as boolean });
    for (const part of parts) {
      for (const peer of [here, {}, { address: '8.8.8.8' }]) {
        const answer = await page(ask(part, { host: 'app.example', 'x-forwarded-for': '8.8.8.8' }), peer);
        if (isIn) t.not(answer.status, 403);
        else t.deepEqual([answer.status, await answer.text()], [403, 'You may not see the inspector.\n']);
        if (!answer.bodyUsed) await answer.body?.cancel();
      }
    }
  });
}

test('authorize is asked once for each request, and sees all of it', async (t) => {
  const seen: string[] = [];
  const page = inspect(t, await openItems(t), {
    authorize: ({ url, method, headers }) => {
      seen.push(`${method} ${url} ${headers.get('cookie')}`);
      return true;
    },
  });
  for (const part of parts) await (await page(ask(part, { cookie: 'a=1' }))).body?.cancel();
  t.deepEqual(
    seen,
    parts.map((part) => `GET http://localhost${part} a=1`),
  );
});

test('authorize is not asked by other sites, nor for what is refused anyhow', async (t) => {
  let asked = 0;
  const page = inspect(t, await openItems(t), {
    authorize: () => {
      asked++;
      return true;
    },
  });
  await page(ask('/data', { 'sec-fetch-site': 'cross-site' }), here);
  await page(ask('/data', {}, 'POST'), here);
  t.is(asked, 0);
});

test('what authorize throws or rejects with passes through', async (t) => {
  const pool = await openItems(t);
  const failure = new Error('no session store');
  const throwing = inspect(t, pool, {
    authorize: () => {
      throw failure;
    },
  });
  const rejecting = inspect(t, pool, { authorize: () => Promise.reject(failure) });
  for (const page of [throwing, rejecting]) {
    for (const part of parts) t.is(await t.throwsAsync(page(ask(part), here)), failure);
  }
});

test('a Response of authorize is the answer, unchanged', async (t) => {
  const login = new Response('Log in first', { status: 401, headers: { 'www-authenticate': 'Basic' } });
  const page = inspect(t, await openItems(t), { authorize: async () => login });
  for (const time of ['once', 'and once more']) {
    const answer = await page(ask('/data'), here);
    t.is(answer.status, 401, time);
    t.is(answer.headers.get('www-authenticate'), 'Basic');
    t.is(await answer.text(), 'Log in first', time);
  }
});

test('whatever authorize throws is a warning and a 500 over node:http, and hurts nobody', async (t) => {
  const pool = await openItems(t);
  const warnings: string[] = [];
  const listener = ({ message }: Error): void => {
    if (message.startsWith('The inspector')) warnings.push(message);
  };
  process.on('warning', listener);
  t.teardown(() => process.off('warning', listener));
  for (const failure of [Object.create(null) as object, undefined, new Error('no session store')]) {
    const page = inspect(t, pool, { authorize: () => Promise.reject(failure) });
    const { url } = await serve(t, page.node);
    t.is((await fetch(`${url}/data`)).status, 500);
  }
  await eventually(() => warnings.length === 3);
  t.regex(warnings.at(-1) ?? '', /could not say who may see it: no session store$/);
});

for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
  test(`${method} is refused: there is nothing to change`, async (t) => {
    const page = inspect(t, await openItems(t));
    for (const part of parts) {
      const answer = await page(ask(part, {}, method), here);
      t.is(answer.status, 405);
      t.is(answer.headers.get('allow'), 'GET, HEAD');
      t.is(await answer.text(), 'There is nothing to change here.\n');
    }
  });
}

test('HEAD is answered as GET, with the same headers', async (t) => {
  const page = inspect(t, await openItems(t));
  for (const part of parts) {
    const [get, head] = [await page(ask(part), here), await page(ask(part, {}, 'HEAD'), here)];
    t.is(head.status, get.status);
    t.deepEqual([...head.headers], [...get.headers]);
    await get.body?.cancel();
  }
});

const security = {
  'cache-control': 'no-store, no-transform',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

test('every answer of its own has the headers of security', async (t) => {
  const pool = await openItems(t);
  const [open, shut] = [inspect(t, pool), inspect(t, pool, { authorize: () => false })];
  const requests = [
    ...parts.map((part) => ask(part)),
    ask('/lease'),
    ask('/data', {}, 'POST'),
    ask('/data', { 'sec-fetch-site': 'cross-site' }),
    ask('/data', { host: 'evil.com' }),
  ];
  for (const page of [open, shut]) {
    for (const request of requests) {
      const { headers, body, status } = await page(request, here);
      for (const [name, value] of Object.entries(security)) t.is(headers.get(name), value, `${status} ${request.url}`);
      await body?.cancel();
    }
  }
  open.close();
  const over = await open(ask('/events'), here);
  t.is(over.status, 204);
  for (const [name, value] of Object.entries(security)) t.is(over.headers.get(name), value);
});

test('the page runs nothing but itself, and is in no frame', async (t) => {
  const page = inspect(t, await openItems(t));
  const { headers } = await page(ask('/'), here);
  const policy = headers.get('content-security-policy') ?? '';
  t.true(policy.includes("default-src 'none'"), policy);
  t.notRegex(policy, /unsafe-(?:inline|eval)|https?:|\*/);
  t.regex(policy, /frame-ancestors 'none'/);
  t.regex(policy, /base-uri 'none'/);
  t.regex(policy, /form-action 'none'/);
  t.is(headers.get('x-frame-options'), 'DENY');
  t.is(headers.get('cross-origin-opener-policy'), 'same-origin');
  t.is(headers.get('content-type'), 'text/html; charset=utf-8');
});

const paths: Readonly<Record<string, 'page' | 'data'>> = {
  '/': 'page',
  '/data': 'data',
  '//evil.com/data': 'data',
  '/a/../data': 'data',
  '/a/%2e%2e/data': 'data',
  '/a/b/c/data': 'data',
  '/data/': 'page',
  '/x%2Fdata': 'page',
  '/%64ata': 'page',
  '/data%00': 'page',
  '/data;x=1': 'page',
  '/DATA': 'page',
  '/database': 'page',
  '/data.json': 'page',
  '/?/data': 'page',
  '/#/data': 'page',
  '/__proto__': 'page',
  '/constructor': 'page',
};

for (const [path, what] of Object.entries(paths)) {
  test(`what is at ${path} is the ${what}`, async (t) => {
    const page = inspect(t, await openItems(t));
    const answer = await page(ask(path), here);
    t.is(answer.status, 200);
    t.is(answer.headers.get('content-type'), what === 'data' ? 'application/json' : 'text/html; charset=utf-8');
    const text = await answer.text();
    t.is(text.startsWith('<!doctype html>'), what === 'page');
    // The page is one text for all: nothing of a request is in it.
    if (what === 'page') t.is(text, await (await page(ask('/'), here)).text());
  });
}

test('a query of 64 KB is no harm', async (t) => {
  const page = inspect(t, await openItems(t));
  const long = 'x'.repeat(65_536);
  t.is((await page(ask(`/data?after=${long}`), here)).status, 200);
  t.is((await page(ask(`/lease?pool=${long}&lease=1`), here)).status, 400);
});

const wrong: readonly [what: string, make: () => unknown][] = [
  ['no pool', () => inspector(undefined as never)],
  ['an empty list', () => inspector([])],
  ['something else', () => inspector({} as never)],
  ['a list with something else', () => inspector([null] as never)],
  [
    'an object that throws',
    () =>
      inspector(
        new Proxy(
          {},
          {
            get: () => {
              throw new Error('no');
            },
          },
        ) as never,
      ),
  ],
];

for (const [what, make] of wrong) {
  test(`${what} is refused for a pool`, (t) => {
    t.throws(make, { code: 'ERR_LEASEHOLD_OPTIONS', message: /pool/ });
  });
}

test('options that are unknown or of a wrong type are refused by name', async (t) => {
  const pool = await openItems(t);
  const options: readonly [unknown, RegExp][] = [
    [{ authorise: () => true }, /"authorise"/],
    [{ authorize: true }, /"authorize"/],
    [{ showSql: 'yes' }, /"showSql"/],
    [{ authorize: null }, /"authorize"/],
  ];
  for (const [given, message] of options)
    t.throws(() => inspector(pool, given as never), { code: 'ERR_LEASEHOLD_OPTIONS', message });
  t.notThrows(() => inspect(t, pool, { authorize: undefined, showSql: undefined }));
});

test('a Response of authorize answers however many of its copies nobody has read', async (t) => {
  const login = new Response('Log in first', { status: 401 });
  const page = inspect(t, await openItems(t), { authorize: () => login });
  // As many unread clones of one response would be more than a stack has room for.
  for (let clients = 0; clients < 20_000; clients++) {
    const answer = await page(ask('/data'), here);
    if (clients % 2 === 0) void answer.body?.cancel();
  }
  t.is(await (await page(ask('/data'), here)).text(), 'Log in first');
});

test('a Response of authorize without a body stays without', async (t) => {
  const away = Response.redirect('http://localhost/login');
  const page = inspect(t, await openItems(t), { authorize: () => away });
  for (let times = 0; times < 2; times++) {
    const answer = await page(ask('/data'), here);
    t.deepEqual([answer.status, answer.headers.get('location')], [302, 'http://localhost/login']);
    t.is(answer.body, null);
  }
});
