import { writeFileSync } from 'node:fs';
import test from 'ava';
import { UsageError } from '../../../lib/cli/command.ts';
import { readAddress, urlOf } from '../../../lib/cli/top/address.ts';
import { temporaryFile } from '../../support/files.ts';

for (const [given, data, shown] of [
  ['http://127.0.0.1:3000/_pool', 'http://127.0.0.1:3000/_pool/data', '127.0.0.1:3000/_pool'],
  ['http://127.0.0.1:3000/_pool/', 'http://127.0.0.1:3000/_pool/data', '127.0.0.1:3000/_pool'],
  ['127.0.0.1:3000/_pool', 'http://127.0.0.1:3000/_pool/data', '127.0.0.1:3000/_pool'],
  ['localhost:3000', 'http://localhost:3000/data', 'localhost:3000'],
  ['https://example.org/a/b?token=1#x', 'https://example.org/a/b/data?token=1', 'example.org/a/b'],
  ['http://[::1]:80/', 'http://[::1]/data', '[::1]'],
] as const) {
  test(`${given} is asked for its data at ${data}`, (t) => {
    const address = readAddress(given, []);
    t.is(urlOf(address, 'data').href, data);
    t.is(address.shown, shown);
  });
}

test('user and password are sent, and never shown', (t) => {
  const address = readAddress('http://ann:p%40ss%3Aé@127.0.0.1/_pool', []);
  const [scheme, value = ''] = address.headers.get('authorization')?.split(' ') ?? [];
  t.is(scheme, 'Basic');
  t.is(Buffer.from(value, 'base64').toString(), 'ann:p@ss:é');
  t.is(address.shown, '127.0.0.1/_pool');
  t.notRegex(urlOf(address, 'events').href, /ann|ss/);
});

test('headers are sent as they are given', (t) => {
  const { headers } = readAddress('http://a/', ['Authorization: Bearer a:b', 'x-team:  pool ']);
  t.is(headers.get('authorization'), 'Bearer a:b');
  t.is(headers.get('x-team'), 'pool');
});

test('what asks for a part adds to the query that is there', (t) => {
  const url = urlOf(readAddress('http://a/p?token=1', []), 'data', { after: '7', server: 'a b' });
  t.is(url.href, 'http://a/p/data?token=1&after=7&server=a+b');
});

for (const given of ['ftp://a/', 'file:///etc/passwd', 'http://', 'http://a:99999/', '', 'a b', 'javascript://x']) {
  test(`${JSON.stringify(given)} is no address`, (t) => {
    t.throws(() => readAddress(given, []), { instanceOf: UsageError });
  });
}

for (const given of [
  'http://ann:secret@a:99999/',
  'ann:secret@a:99999/_pool',
  'http://ann:se/secret@a:99999',
  'http://ann:s@secret@a:99999',
  'http://a:99999/_pool?token=secret',
  'ftp://ann:secret@a/',
]) {
  test(`what is secret in ${given} is not repeated when the rest is wrong`, (t) => {
    const error = t.throws(() => readAddress(given, []), { instanceOf: UsageError });
    t.regex(error.message, /^"(?:\w+:\/\/)?a[:/]/);
    t.notRegex(error.message, /secret/);
  });
}

test('the path of a file is told where it belongs', (t) => {
  const file = temporaryFile(t);
  writeFileSync(file, '');
  t.throws(() => readAddress(file, []), { message: /is a file\. Did you mean leasehold top --file "/ });
});

for (const header of ['x', ': b', 'a b: c', 'a: b\nc: d', 'é: x']) {
  test(`${JSON.stringify(header)} is no header`, (t) => {
    t.throws(() => readAddress('http://a/', [header]), { instanceOf: UsageError, message: /--header is given as/ });
  });
}
