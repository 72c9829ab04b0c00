import type { Report } from '../../inspector/wire.ts';
import { CommandError, type Io } from '../command.ts';
import { visible } from '../text.ts';
import type { Address } from './address.ts';
import { fetchReport, follow, type Link } from './feed.ts';
import { History } from './history.ts';
import { jsonLine } from './json.ts';
import { Lines } from './lines.ts';
import { showLive } from './live.ts';
import { shownOnce } from './once.ts';
import { pictureOf } from './picture.ts';
import { ofPools } from './report.ts';
import type { Settings } from './settings.ts';

const usualInterval = 1000;
const usualLineInterval = 2000;

/** `leasehold top <url>`. */
export async function topOfInspector(address: Address, settings: Settings, io: Io): Promise<number> {
  if (settings.once) return await once(address, settings, io);
  if (settings.json) return await jsonLines(address, settings, io);
  if (io.stdout.isTTY === true && io.env['TERM'] !== 'dumb') return await live(address, settings, io);
  return await plainLines(address, settings, io);
}

async function once(address: Address, settings: Settings, io: Io): Promise<number> {
  const report = chosen(await fetchReport(address, io.signal), settings);
  if (settings.json) {
    io.stdout.write(jsonLine(report));
    return 0;
  }
  const history = new History();
  history.add(report);
  const view = { address: address.shown, link: { state: 'live' }, linkSince: Date.now() } as const;
  io.stdout.write(shownOnce((size) => pictureOf(history, { ...view, ...size }), settings, io));
  return 0;
}

async function jsonLines(address: Address, settings: Settings, io: Io): Promise<number> {
  const interval = settings.interval ?? usualInterval;
  const report = (told: Report): unknown => io.stdout.write(jsonLine(chosen(told, settings)));
  await follow(address, { report, link: tellLink(address, io) }, { interval, signal: io.signal });
  return 0;
}

async function plainLines(address: Address, settings: Settings, io: Io): Promise<number> {
  const interval = settings.interval ?? usualLineInterval;
  const lines = new Lines(io.stdout, interval);
  const report = (told: Report): void => lines.add(chosen(told, settings));
  try {
    await follow(address, { report, link: tellLink(address, io) }, { interval, signal: io.signal });
  } finally {
    lines.end();
  }
  return 0;
}

/** Not on stdout, where every line is of a report. */
function tellLink({ shown }: Address, io: Io): (link: Link) => void {
  let said = '';
  return (link) => {
    const text = link.state === 'lost' ? `lost: ${visible(link.reason)}; trying again` : link.state;
    if (text !== said && (said !== '' || link.state === 'lost')) io.stderr.write(`leasehold top: ${shown}: ${text}\n`);
    said = text;
  };
}

async function live(address: Address, settings: Settings, io: Io): Promise<number> {
  const interval = settings.interval ?? usualInterval;
  const history = new History();
  let link: Link = { state: 'live' };
  let linkSince = Date.now();
  return await showLive(
    (changed, signal) =>
      follow(
        address,
        {
          report(report) {
            history.add(chosen(report, settings));
            changed();
          },
          link(told) {
            if (told.state !== link.state) linkSince = Date.now();
            link = told;
            changed();
          },
        },
        { interval, signal },
      ),
    {
      paint: settings.paint,
      // What is sent a second at a time comes a little early or late.
      interval: interval - 100,
      lines: settings.lines,
      picture: (size) => pictureOf(history, { ...size, address: address.shown, link, linkSince }),
    },
    io,
  );
}

/** @throws CommandError where the pool that was asked for is not there */
function chosen(report: Report, { pool }: Settings): Report {
  if (pool === undefined) return report;
  const only = ofPools(report, (name) => name === pool);
  if (only.pools.length > 0) return only;
  const names = report.pools.map(({ name }) => JSON.stringify(name)).join(', ');
  throw new CommandError(`There is no pool ${JSON.stringify(pool)}; there is ${names === '' ? 'none' : names}.`);
}
