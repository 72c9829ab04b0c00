import { execFile } from 'node:child_process';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

const run = promisify(execFile);
const urlOf = (file: string) => new URL(`../lib/${file}${extname(import.meta.url)}`, import.meta.url).href;

/** Imports the library in a process that says it is of this version. */
async function importAs(version: string): Promise<string> {
  const program = `
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: ${JSON.stringify(version)} } });
    import(${JSON.stringify(urlOf('index'))}).then(
      ({ createPool }) => console.log(typeof createPool),
      (error) => console.log(error.code, error.message.split(';')[0]),
    );`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program]);
  return stdout.trim();
}

for (const [version, outcome] of [
  ['20.20.2', 'ERR_LEASEHOLD_RUNTIME Leasehold needs Node.js 22 or newer'],
  // By the number, not by the text.
  ['8.17.0', 'ERR_LEASEHOLD_RUNTIME Leasehold needs Node.js 22 or newer'],
  ['22.20.0', 'function'],
  ['100.0.0', 'function'],
] as const) {
  test(`on Node.js ${version} the import of the library comes to: ${outcome}`, async (t) => {
    t.is(await importAs(version), outcome);
  });
}
