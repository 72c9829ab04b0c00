// Loaded before ava, whose reporter for the Test Anything Protocol fails where it is to name the tests that have timed out: it
// expects of each error a copy as workers make them, and this one is its own.
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';

interface Reporter {
  writeTest(event: { err?: unknown }, state: unknown): void;
}

if (isMainThread) {
  const [, cli = ''] = process.argv;
  const { href } = new URL('../lib/reporters/tap.js', pathToFileURL(cli));
  const { prototype } = ((await import(href)) as { readonly default: { readonly prototype: Reporter } }).default;
  const { writeTest } = prototype;
  prototype.writeTest = function (event, state) {
    const { err } = event;
    const error =
      err instanceof Error ? { name: err.name, stack: err.stack, originalError: { message: err.message } } : err;
    writeTest.call(this, { ...event, err: error }, state);
  };
}
