import test from 'ava';
import type { Emulator } from './support/emulator.ts';
import { inspectorServer } from './support/inspector-server.ts';
import { Simulation } from './support/simulation.ts';
import { noTerminal, terminal } from './support/terminal.ts';

const atTerminal = noTerminal === undefined ? test : test.skip;
if (noTerminal !== undefined) console.warn(`No terminal to test with: ${noTerminal}.`);

function minute(): Simulation {
  const simulation = new Simulation();
  for (let tick = 0; tick < 60; tick++) simulation.tick();
  return simulation;
}

/** Also its last row has come: what a terminal is sent arrives in pieces. */
function isWhole({ text }: Emulator): boolean {
  return text.includes('8/8 FULL') && /timeout {2}Timed out/.test(text);
}

for (const [how, keys, code] of [
  ['q', 'q', 0],
  ['Ctrl-C', '\u0003', 130],
  ['Ctrl-\\', '\u001c', 131],
] as const) {
  atTerminal(`${how} gives the terminal back as it was, and ends with ${code}`, async (t) => {
    const server = await inspectorServer(t, minute());
    const shown = await terminal(t, ['top', server.url]);
    await shown.until(isWhole);
    t.true(shown.emulator.isAlternate);
    t.false(shown.emulator.hasCursor);
    shown.type(keys);
    t.is(await shown.ended, code);
    t.false(shown.emulator.isAlternate);
    t.true(shown.emulator.hasCursor);
    t.true(shown.emulator.wraps);
    // What was there before, and nothing else.
    t.regex(shown.emulator.text, /^at \S+ as \d+\.$/);
  });
}

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const) {
  atTerminal(`${signal} gives the terminal back, and ends with ${code}`, async (t) => {
    const server = await inspectorServer(t, minute());
    const shown = await terminal(t, ['top', server.url]);
    await shown.until(isWhole);
    shown.kill(signal);
    t.is(await shown.ended, code);
    t.false(shown.emulator.isAlternate);
    t.true(shown.emulator.hasCursor);
    t.regex(shown.emulator.text, /^at \S+ as \d+\.$/);
  });
}

atTerminal('the keyboard is given back as well', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url], { shell: { before: ':', after: 'stty -a' } });
  await shown.until(isWhole);
  shown.type('q');
  await shown.ended;
  t.regex(shown.emulator.text, /^isig icanon iexten echo /m);
});

atTerminal('other keys and the sequences of arrows change nothing', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url]);
  await shown.until(isWhole);
  shown.type('x\u001b[A\u001bOq \r\n注');
  // Drawn anew: what was typed before has been read.
  const { length } = shown.emulator.sent;
  shown.type('\u000c');
  await shown.until(({ sent, text }) => sent.length > length && text.includes('8/8 FULL'));
  t.true(shown.emulator.isAlternate);
  shown.type('q');
  t.is(await shown.ended, 0);
});

atTerminal('what can not be shown at all leaves the terminal alone', async (t) => {
  const server = await inspectorServer(t, minute(), {
    instead(_request, response) {
      response.writeHead(403, { 'content-type': 'text/plain' }).end('Only from this machine.');
      return true;
    },
  });
  const shown = await terminal(t, ['top', server.url]);
  t.is(await shown.ended, 1);
  t.false(shown.emulator.sent.includes('\u001b[?1049'));
  t.regex(shown.emulator.text, /\nleasehold top: 127.*: it refuses \(403\): Only from this machine\.$/);
});

atTerminal('the picture stays when the server goes, says so, and goes on when it is back', async (t) => {
  const simulation = minute();
  const server = await inspectorServer(t, simulation);
  const shown = await terminal(t, ['top', server.url, '--interval', '500']);
  await shown.until(isWhole);
  await server.close();
  await shown.until(({ text }) => text.includes('Trying again.'));
  t.regex(shown.emulator.screen[0] ?? '', /^app .* LOST \d\d:\d\d:\d\d$/);
  await shown.until(isWhole);
  const restarted = await inspectorServer(t, simulation, { port: server.port });
  const ticking = setInterval(() => {
    simulation.tick();
    restarted.tick();
  }, 500);
  t.teardown(() => clearInterval(ticking));
  await shown.until(({ screen, text }) => / live /.test(screen[0] ?? '') && !text.includes('Trying again'));
  shown.type('q');
  t.is(await shown.ended, 0);
});

atTerminal('a terminal of another size has a picture of that size at once', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url], { columns: 120, rows: 40 });
  await shown.until(isWhole);
  t.true(shown.emulator.text.includes('HELD LONGEST'));
  const { length } = shown.emulator.sent;
  shown.resize(50, 10);
  // What a terminal does to what is there is its own affair: all is erased and drawn anew.
  const erased = '\u001b[2J';
  await shown.until(({ sent, text }) => sent.includes(erased, length) && text.includes('8/8 FULL'));
  t.true(shown.emulator.screen.length <= 10);
  // All of it is new: nothing of the larger one is left at the right.
  for (let row = 0; row < 10; row++) t.true(shown.emulator.widthOfRow(row) <= 50);
  shown.resize(120, 40);
  await shown.until(({ text }) => text.includes('HELD LONGEST'));
  shown.type('q');
  t.is(await shown.ended, 0);
});

atTerminal('a picture is one write, of the rows that are not there already', async (t) => {
  const simulation = minute();
  const server = await inspectorServer(t, simulation);
  const shown = await terminal(t, ['top', server.url, '--interval', '500']);
  await shown.until(isWhole);
  const updated = async () => {
    const before = shown.emulator.sent.length;
    const [title = ''] = shown.emulator.screen;
    simulation.tick();
    server.tick();
    await shown.until(({ screen }) => screen[0] !== title);
    return shown.emulator.sent.slice(before);
  };
  let update = await updated();
  // On a machine that stood still it is said in other rows, too, that nothing came.
  for (let again = 0; again < 3 && update.includes('60 s ago'); again++) update = await updated();
  t.notRegex(update, /\[2J|\?1049/);
  // `--` of the heading over the connections is as it was.
  t.false(update.includes('60 s ago'));
  shown.type('q');
  await shown.ended;
});

for (const hasParent of [false, true]) {
  const which = hasParent ? 'a process and who has started it go' : 'the process goes';
  atTerminal(`Ctrl-Z gives the terminal back until ${which} on`, async (t) => {
    const server = await inspectorServer(t, minute());
    const shell = { before: 'set -m', after: 'stty -a; echo stopped; read line; fg; echo "ended with $?"' };
    const shown = await terminal(t, ['top', server.url], { shell, hasParent });
    await shown.until(isWhole);
    shown.type('\u001a');
    await shown.until(({ text }) => text.includes('stopped'));
    t.false(shown.emulator.isAlternate);
    t.true(shown.emulator.hasCursor);
    t.regex(shown.emulator.text, /^isig icanon iexten echo /m);
    shown.type('\n');
    await shown.until(({ isAlternate, text }) => isAlternate && text.includes('8/8 FULL'));
    t.false(shown.emulator.hasCursor);
    shown.type('q');
    await shown.until(({ text }) => text.includes('ended with 0'));
    t.false(shown.emulator.isAlternate);
  });
}

atTerminal('Ctrl-Z where nobody could let it go on leaves it running', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url]);
  await shown.until(isWhole);
  const { length } = shown.emulator.sent;
  shown.type('\u001a');
  const entered = /1049l.*1049h/s;
  await shown.until(({ sent, text }) => entered.test(sent.slice(length)) && text.includes('8/8 FULL'));
  shown.type('q');
  t.is(await shown.ended, 0);
});

atTerminal('a process that is told to go on, whoever had stopped it, takes the terminal and draws anew', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url]);
  await shown.until(isWhole);
  const { length } = shown.emulator.sent;
  shown.kill('SIGCONT');
  await shown.until(({ sent, text }) => /1049h.*\[2J/s.test(sent.slice(length)) && text.includes('8/8 FULL'));
  shown.type('q');
  t.is(await shown.ended, 0);
  t.false(shown.emulator.isAlternate);
  t.true(shown.emulator.hasCursor);
});

atTerminal('--once shows the picture among the other lines', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url, '--once'], { rows: 30 });
  t.is(await shown.ended, 0);
  t.notRegex(shown.emulator.sent, /\?1049|\?25/);
  t.regex(shown.emulator.text, /8\/8 FULL/);
  // In colour, as it is a terminal.
  t.true(shown.emulator.sent.includes('\u001b[32m'));
});

atTerminal('an error of the program is read where it was started, and not on the screen that is gone', async (t) => {
  const server = await inspectorServer(t, minute());
  const fault = `data:text/javascript,${encodeURIComponent("process.on('SIGUSR2', () => { throw new Error('a fault'); });")}`;
  const shown = await terminal(t, ['top', server.url], { env: { NODE_OPTIONS: `--import "${fault}"` } });
  await shown.until(isWhole);
  shown.kill('SIGUSR2');
  t.is(await shown.ended, 1);
  t.false(shown.emulator.isAlternate);
  t.true(shown.emulator.hasCursor);
  t.regex(shown.emulator.text, /^leasehold: a fault$/m);
});

atTerminal('a terminal that can nothing has lines and no sequences', async (t) => {
  const server = await inspectorServer(t, minute());
  const shown = await terminal(t, ['top', server.url], { env: { TERM: 'dumb' } });
  await shown.until(({ text }) => /app leased 8\/8 FULL/.test(text));
  t.false(shown.emulator.sent.includes('\u001b'));
  shown.type('\u0003');
  t.is(await shown.ended, 130);
});
