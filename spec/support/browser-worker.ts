/** Runs a browser for the spec files of a run. A shared worker of ava, registered by browser.ts. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SharedWorker } from 'ava/plugin';

/** What spec files and the worker tell each other. */
export type Message =
  | { readonly type: 'start'; readonly program: string }
  | { readonly type: 'started'; readonly endpoint: string }
  | { readonly type: 'failed'; readonly reason: string };

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  // A process of its own for what paints is more than half of a start.
  '--in-process-gpu',
  '--disable-software-rasterizer',
  '--renderer-process-limit=1',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-extensions',
  '--disable-sync',
];

/**
 * Ends the browser and removes its folder when the run is over, however that came: nothing of a thread that is ended runs any
 * more. What it reads is the process id; that there is no more to read is the end.
 */
const watchdog = `
  const { rmSync, existsSync } = require('node:fs');
  const [folder] = process.argv.slice(1);
  let told = '';
  process.stdin.setEncoding('utf8').on('data', (text) => { told += text; }).on('end', async () => {
    try { if (told !== '') process.kill(Number(told), 'SIGKILL'); } catch {}
    // Its other processes end when they notice, and may write until then.
    for (let gone = 0, rounds = 0; gone < 3 && rounds < 60; rounds++) {
      gone = existsSync(folder) ? 0 : gone + 1;
      try { rmSync(folder, { recursive: true, force: true }); } catch {}
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });`;

/** Gives the address at which the browser is to be had. It ends with the run. */
async function start(program: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'leasehold-browser-'));
  const guard = spawn(process.execPath, ['-e', watchdog, folder], {
    // A group of its own: an interrupt from the keyboard is for the tests, and the end of those is for it.
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  // Of this thread alone. Its profile goes there, and whatever else it writes.
  Object.assign(process.env, { HOME: folder, TMPDIR: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder });
  // After that: where temporary files go is asked for when it is loaded.
  const { chromium } = await import('playwright-core');
  const server = await chromium.launchServer({ executablePath: program, args: flags, host: '127.0.0.1' });
  guard.stdin.write(`${server.process().pid}`);
  return server.wsEndpoint();
}

let started: Promise<string> | undefined;

async function answer({ data }: SharedWorker.ReceivedMessage<Message>): Promise<Message> {
  try {
    if (data.type !== 'start') return { type: 'failed', reason: `Nothing is known of "${data.type}".` };
    started ??= start(data.program);
    return { type: 'started', endpoint: await started };
  } catch (error) {
    return { type: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
}

export default async function run({ negotiateProtocol }: SharedWorker.FactoryOptions): Promise<void> {
  const protocol = negotiateProtocol<Message>(['ava-4']);
  protocol.ready();
  for await (const message of protocol.subscribe()) message.reply(await answer(message));
}
