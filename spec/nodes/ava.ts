/*
 * Runs the ava whose path comes first, with the arguments that follow. Its reporter for the Test Anything Protocol fails where it is to
 * name the tests that have timed out: it expects of each error a copy as workers make them, and this one is its own.
 */
import { pathToFileURL } from 'node:url';

interface Reporter {
  writeTest(event: { readonly err?: unknown }, state: unknown): void;
}

// As if it had been started itself.
process.argv.splice(1, 1);
const [, path = ''] = process.argv;
const cli = pathToFileURL(path);
const { href } = new URL('../lib/reporters/tap.js', cli);
const { prototype } = ((await import(href)) as { readonly default: { readonly prototype: Reporter } }).default;
const { writeTest } = prototype;
prototype.writeTest = function (event, state) {
  const { err } = event;
  const error =
    err instanceof Error ? { name: err.name, stack: err.stack, originalError: { message: err.message } } : err;
  writeTest.call(this, { ...event, err: error }, state);
};
await import(cli.href);
