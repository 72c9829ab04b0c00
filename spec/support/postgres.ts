import { extname } from 'node:path';
import { registerSharedWorker } from 'ava/plugin';
import type { TestContext } from './postgres-server.ts';
import type { Message } from './postgres-worker.ts';

const filename = new URL(`postgres-worker${extname(import.meta.url)}`, import.meta.url);

async function ask(message: Message): Promise<Message> {
  // Nothing is started for a file that never asks.
  const worker = registerSharedWorker<Message>({ filename, supportedProtocols: ['ava-4'] });
  await worker.available;
  for await (const { data } of worker.publish(message).replies()) {
    if (data.type === 'failed') throw new Error(`No database for this test: ${data.reason}`);
    return data;
  }
  throw new Error('No database for this test: the run is over.');
}

/**
 * The URL of a new, empty database, on the server that all files of a run share: that of DATABASE_URL, or one that is started
 * for the run. It is dropped after the test, or, without a test, when the file is over.
 */
export async function postgresUrl(t?: TestContext): Promise<string> {
  const answer = await ask({ type: 'create' });
  if (answer.type !== 'created') throw new Error(`No database for this test: the answer was "${answer.type}".`);
  const { name, url } = answer;
  t?.teardown(async () => void (await ask({ type: 'drop', name })));
  return url;
}
