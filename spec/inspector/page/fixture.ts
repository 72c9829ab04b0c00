import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { page } from '../../../lib/inspector/page.generated.ts';
import type { LeaseDetail, Report } from '../../../lib/inspector/wire.ts';
import { loads } from './loads.ts';
import { interval, Simulation } from './simulation.ts';

/** Serves the page below a path for each load: `node spec/inspector/page/fixture.ts 8123`, then `http://127.0.0.1:8123/busy`. */
export interface Fixture {
  readonly port: number;
  close(): void;
}

export interface FixtureOptions {
  /** The status of every answer but the page, as long as it is set. */
  refuse?: number | undefined;
  /** Whether events get stuck on the way, as in a proxy that collects whole responses. */
  stuck?: boolean;
}

export async function fixture(port = 0, options: FixtureOptions = {}): Promise<Fixture> {
  const pools = new Map<string, readonly Simulation[]>();
  const poolsOf = (name: string): readonly Simulation[] => {
    const names = name === 'two' ? ['busy', 'full', 'quiet'] : [name];
    const made = pools.get(name) ?? names.map((each, index) => new Simulation(loadOf(each), index + 1, Date.now()));
    pools.set(name, made);
    for (const pool of made) pool.advance(Date.now());
    return made;
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const [, name = '', what = ''] = url.pathname.split('/');
    if (name !== 'two' && !Object.hasOwn(loads, name)) return void response.writeHead(404).end('Nothing is here.');
    if (what === '')
      return send(response, 'text/html; charset=utf-8', page.html, { 'content-security-policy': page.policy });
    if (options.refuse !== undefined) return void response.writeHead(options.refuse).end('You may not see this.');
    const simulations = poolsOf(name);
    if (what === 'events' && options.stuck === true) return;
    if (what === 'events') return events(request, response, () => poolsOf(name));
    if (what === 'data') {
      const after = url.searchParams.get('after');
      return send(
        response,
        'application/json',
        JSON.stringify(merged(simulations, after === null ? undefined : Number(after))),
      );
    }
    const detail = detailOf(simulations, Number(url.searchParams.get('pool')), Number(url.searchParams.get('lease')));
    if (what !== 'lease' || detail === undefined)
      return void response.writeHead(404).end('The lease is not known any more.');
    send(response, 'application/json', JSON.stringify(detail));
  });
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function loadOf(name: string) {
  const load = loads[name];
  if (load === undefined) throw new Error(`There is no load "${name}".`);
  return load;
}

function send(response: ServerResponse, type: string, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', ...headers }).end(body);
}

function events(request: IncomingMessage, response: ServerResponse, pools: () => readonly Simulation[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let told: number | undefined;
  const tell = (): void => {
    const report = merged(pools(), told);
    told = report.ticks.at(-1)?.number ?? told ?? 0;
    response.write(`event: report\ndata: ${JSON.stringify(report)}\n\n`);
  };
  tell();
  const timer = setInterval(tell, interval);
  request.once('close', () => clearInterval(timer));
}

/** One report of several pools, whose ticks are of the same times. */
function merged(simulations: readonly Simulation[], after: number | undefined): Report {
  const reports = simulations.map((simulation) => simulation.report(after));
  const [first] = reports as [Report];
  return {
    ...first,
    ticks: first.ticks.map((tick) => ({
      ...tick,
      pools: reports.flatMap((report) => report.ticks.find((each) => each.number === tick.number)?.pools ?? []),
    })),
    trends: reports.flatMap((report) => report.trends).toSorted((a, b) => a.at - b.at),
    pools: reports.flatMap((report) => report.pools),
  };
}

function detailOf(simulations: readonly Simulation[], pool: number, lease: number): LeaseDetail | undefined {
  const simulation = simulations[pool - 1];
  const holder = simulation?.state().holders.find((each) => each.lease === lease);
  if (holder !== undefined) {
    const { connection, label, scope, from, waited, writes, reads, stack, sql } = holder;
    return { pool, lease, connection, label, scope, from, to: undefined, waited, writes, reads, stack, sql, notes: [] };
  }
  const parts = simulation?.ticks.flatMap((tick) => tick.pools) ?? [];
  const bar = parts.flatMap((part) => part.bars).find((each) => each.lease === lease);
  const notes = parts.flatMap((part) => part.notes).filter((note) => note.lease === lease);
  return bar && { ...bar, pool, scope: lease + 900, notes, stack: 'Error\n    at handle (file:///app/server.ts:12:3)' };
}

if (import.meta.main) {
  const { port } = await fixture(Number(process.argv[2] ?? 8123));
  console.log(
    Object.keys(loads)
      .map((name) => `http://127.0.0.1:${port}/${name}`)
      .join('\n'),
  );
}
