import { type Paint, painter, wantsColours } from '../colours.ts';
import { type Io, readArguments, readNumber, UsageError } from '../command.ts';
import { type Address, quotedAddress, readAddress } from './address.ts';

/** What the command line asks for. */
export interface Settings {
  /** Of an inspector, or the path of a database file. */
  readonly target: Address | string;
  readonly pool: string | undefined;
  /** Shortest time between two pictures. `undefined`: as fits the way it is shown. */
  readonly interval: number | undefined;
  readonly once: boolean;
  readonly json: boolean;
  /** Height of the picture. `undefined`: that of the terminal. */
  readonly lines: number | undefined;
  readonly paint: Paint;
}

const options = {
  file: { type: 'string' },
  header: { type: 'string', multiple: true },
  pool: { type: 'string' },
  interval: { type: 'string' },
  lines: { type: 'string' },
  once: { type: 'boolean' },
  json: { type: 'boolean' },
  'no-color': { type: 'boolean' },
} as const;

/** @throws UsageError */
export function readSettings(args: readonly string[], io: Io): Settings {
  const { options: given, positionals } = readArguments(args, options);
  const { pool, interval, lines, once = false, json = false } = given;
  return {
    target: targetOf(positionals, given.file, given.header),
    pool,
    interval: interval === undefined ? undefined : readNumber('interval', interval, { least: 500, most: 3_600_000 }),
    lines: lines === undefined ? undefined : readNumber('lines', lines, { least: 1, most: 10_000 }),
    once,
    json,
    paint: painter(wantsColours(io, io.stdout, given['no-color'] === true)),
  };
}

function targetOf(
  positionals: readonly string[],
  file: string | undefined,
  headers: readonly string[] | undefined,
): Address | string {
  const [url, second] = positionals;
  if (second !== undefined) throw new UsageError(`One URL at a time: ${quotedAddress(second)} is one too many.`);
  if (file === undefined && url === undefined) {
    throw new UsageError('What to look at is missing: the URL of an inspector, or --file and the path of a database.');
  }
  if (file === undefined) return readAddress(url ?? '', headers ?? []);
  if (url !== undefined) throw new UsageError('Either a URL or --file, not both.');
  if (headers !== undefined) throw new UsageError('--header is for a URL, not for --file.');
  return file;
}
