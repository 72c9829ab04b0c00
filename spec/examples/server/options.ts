import { parseArgs } from 'node:util';
import { UsageError } from './failure.ts';

export interface Options {
  readonly file: string;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly connections: number;
  readonly customers: number;
  readonly orders: number;
  /** Seconds to drive the server for; `undefined` serves until it is stopped. */
  readonly load: number | undefined;
  readonly clients: number;
}

export const help = `A small shop on node:http and SQLite, to see Leasehold at work.

  npm start -- [options]

  --file PATH        database; made and filled on the first start (leasehold-demo.db)
  --port N           port to listen on, 0 picks a free one (3000, under --load 0)
  --host HOST        address to listen on (127.0.0.1)
  --connections N    most connections in the pool (8)
  --customers N      customers in a database that is yet to be filled (10000)
  --orders N         orders in a database that is yet to be filled (100000)
  --load SECONDS     drive the server from a second process, print figures, and end
  --clients N        clients of that load (64)
  --help             print this
`;

/** Reads the command line. @throws UsageError for an unknown option or a bad value */
export function parseOptions(args: string[]): Options | 'help' {
  const given = parse(args);
  if (given.help) return 'help';
  const load = given.load === undefined ? undefined : integer('load', given.load, 1, 3600);
  return {
    file: filePath(given.file ?? 'leasehold-demo.db'),
    host: text('host', given.host ?? '127.0.0.1'),
    port: integer('port', given.port ?? (load === undefined ? '3000' : '0'), 0, 65_535),
    connections: integer('connections', given.connections ?? '8', 1, 1000),
    customers: integer('customers', given.customers ?? '10000', 1, 1_000_000),
    orders: integer('orders', given.orders ?? '100000', 1, 10_000_000),
    load,
    clients: integer('clients', given.clients ?? '64', 1, 1000),
  };
}

function parse(args: string[]) {
  const string = { type: 'string' } as const;
  try {
    return parseArgs({
      args,
      options: {
        file: string,
        host: string,
        port: string,
        connections: string,
        customers: string,
        orders: string,
        load: string,
        clients: string,
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    // Node's message goes on to explain how to pass such a thing after all; its first sentence says what is wrong.
    const [what] = (error as Error).message.split(/\.\s/);
    throw new UsageError(`${what}. See --help.`);
  }
}

function integer(option: string, value: string, least: number, most: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new UsageError(`--${option} is ${JSON.stringify(value)}: expected an integer from ${least} to ${most}.`);
}

function text(option: string, value: string): string {
  if (value.trim() !== '') return value;
  throw new UsageError(`--${option} is empty.`);
}

function filePath(value: string): string {
  // A database in memory belongs to one connection alone, and there would be nothing left to complete.
  if (value.trim() === ':memory:') throw new UsageError('--file is ":memory:": expected the path of a file.');
  return text('file', value);
}
