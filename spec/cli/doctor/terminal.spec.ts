import { stripVTControlCharacters } from 'node:util';
import test from 'ava';
import { temporaryFile } from '../../support/files.ts';
import { noTerminal, terminal } from '../top/support/terminal.ts';
import { build, buildSlow, manyRows, traceOf } from './support.ts';

if (noTerminal !== undefined) console.log(`Terminals are left out: ${noTerminal}.`);
const atTerminal = noTerminal === undefined ? test.serial : test.skip;

atTerminal('on a terminal it shows how far it is, on one line that goes when Ctrl-C ends it', async (t) => {
  const file = temporaryFile(t);
  buildSlow(file, { wal: true });
  const before = traceOf(file);
  const shown = await terminal(t, ['doctor', file], { columns: 60 });
  await shown.until((emulator) => /^Integrity +\d+ % .* "slow"$/m.test(emulator.text));
  t.is(shown.emulator.text.match(/Integrity/g)?.length, 1);
  shown.type('\u0003');
  t.is(await shown.ended, 130);
  t.notRegex(shown.emulator.text, /Integrity/);
  t.deepEqual(traceOf(file), before);
});

atTerminal('on a terminal it fits its width, and says every state in a word and in a colour', async (t) => {
  const file = temporaryFile(t);
  build(file, manyRows, { wal: false });
  for (const columns of [44, 100]) {
    const shown = await terminal(t, ['doctor', file, '--quick'], { columns, rows: 300, env: { FORCE_COLOR: '1' } });
    t.is(await shown.ended, 1);
    t.regex(shown.emulator.text, /^ {2}warning {2}Journal mode/m);
    t.regex(shown.emulator.text, /1 warning, [1-4] note/);
    t.true(shown.emulator.sent.includes('\u001b[33mwarning'));
    // What a line is made of that has not to be cut, as the name of the file.
    const lines = stripVTControlCharacters(shown.emulator.sent).split(/\r?\n/).slice(2);
    t.deepEqual(
      lines.filter((line) => line.length > columns),
      [],
    );
  }
});
