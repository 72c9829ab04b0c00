import { cpSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test from 'ava';
import { formatBytes, formatSite, nameOf, printable } from '../lib/wording.ts';
import { temporaryDirectory } from './support/files.ts';

test('a label as long as a request body is cut, so that a message stays one', (t) => {
  t.is(printable('x'.repeat(500)), 'x'.repeat(500));
  t.is(printable('x'.repeat(501)), `${'x'.repeat(500)}…`);
  t.is(nameOf('Lease #1', 'x'.repeat(100_000), 'app').length, 'Lease #1 "" of "app"'.length + 501);
  // Cut first, so that what is hidden in its end costs nothing.
  t.is(printable(`${'x'.repeat(499)}\n\n`), `${'x'.repeat(499)}\\u000a…`);
});

test('a log that was never reclaimed is told in gigabytes', (t) => {
  t.is(formatBytes(999_949_999), '999.9 MB');
  t.is(formatBytes(999_950_000), '1.0 GB');
  t.is(formatBytes(42_000_000_000), '42.0 GB');
});

test('a frame in a file of another machine is shown as it is', (t) => {
  const site = 'report (file://server/share/a.ts:4:1)';
  t.is(formatSite(`Error\n    at ${site}`), `at ${site}`);
});

test('in a bundle the frames of the application are shown, though they are in the same file', async (t) => {
  const directory = temporaryDirectory(t);
  const extension = extname(import.meta.url);
  const bundle = join(directory, `app${extension}`);
  cpSync(fileURLToPath(new URL(`../lib/wording${extension}`, import.meta.url)), bundle);
  const url = pathToFileURL(bundle).href;
  const bundled = (await import(url)) as { readonly formatSite: typeof formatSite };
  t.true(bundled.formatSite(`Error\n    at report (${url}:4:1)`).endsWith(`app${extension}:4:1)`));
});
