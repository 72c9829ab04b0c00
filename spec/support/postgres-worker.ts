/** Gives databases to the spec files of a run, on one server. A shared worker of ava, registered by postgres.ts. */
import type { SharedWorker } from 'ava/plugin';
import { Client } from 'pg';
import { launchServer } from './postgres-server.ts';

/** What spec files and the worker tell each other. */
export type Message =
  | { readonly type: 'create' }
  | { readonly type: 'drop'; readonly name: string }
  | { readonly type: 'created'; readonly name: string; readonly url: string }
  | { readonly type: 'dropped' }
  | { readonly type: 'failed'; readonly reason: string };

interface Server {
  readonly url: string;
  readonly client: Client;
  /** How its databases are made. */
  readonly manner: string;
}

const settings = { max_connections: 300, max_wal_senders: 0, wal_level: 'minimal' };
let server: Promise<Server> | undefined;
let databases = 0;

/** Ends with the run: its watchdog sees to that. */
async function connect(): Promise<Server> {
  const given = process.env['DATABASE_URL'];
  const url = given || (await launchServer({ settings })).url();
  const client = new Client({ connectionString: url });
  // A connection that is lost is seen by whoever asks for a database next.
  client.on('error', () => {});
  await client.connect();
  // Copying files takes a fifth of the time of logging every page, where nothing is synced: on a server that is given, things are
  // synced, and one before version 15 does not know the word.
  return { url, client, manner: given ? '' : 'STRATEGY file_copy' };
}

let last: Promise<unknown> = Promise.resolve();

/** A client is to be asked one thing at a time. */
function inTurn(client: Client, sql: string): Promise<unknown> {
  const own = last.then(() => client.query(sql));
  last = own.catch(() => {});
  return own;
}

async function create(): Promise<Message & { readonly type: 'created' }> {
  server ??= connect();
  const { url, client, manner } = await server;
  // Of a server that is not started here, other runs may have databases as well.
  const name = `leasehold_${process.pid}_${Date.now().toString(36)}_${++databases}`;
  await inTurn(client, `CREATE DATABASE ${name} TEMPLATE template0 ${manner}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  return { type: 'created', name, url: own.href };
}

async function drop(name: string): Promise<void> {
  const open = await server;
  if (open !== undefined) await inTurn(open.client, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

async function answer({ data, testWorker }: SharedWorker.ReceivedMessage<Message>): Promise<Message> {
  try {
    if (data.type === 'create') {
      const created = await create();
      testWorker.teardown(() => drop(created.name));
      return created;
    }
    if (data.type === 'drop') await drop(data.name);
    return { type: 'dropped' };
  } catch (error) {
    return { type: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
}

export default async function giveDatabases({ negotiateProtocol }: SharedWorker.FactoryOptions): Promise<void> {
  const messages = negotiateProtocol<Message>(['ava-4']).ready().subscribe();
  for await (const message of messages) void answer(message).then((reply) => message.reply(reply));
}
