import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { Registry } from 'prom-client';

/** A value’s key in what was scraped. */
export const of = (name: string, pool: string, state?: string): string =>
  `${name}{db_client_connection_pool_name="${pool}"${state === undefined ? '' : `,db_client_connection_state="${state}"`}}`;

export const prefix = 'db_client_connection';

export interface Scraped {
  readonly contentType: string | null;
  /** Type and help by name of the metric. */
  readonly about: ReadonlyMap<string, { readonly type: string; readonly help: string }>;
  /** Values by name and labels, as they are written. */
  readonly values: ReadonlyMap<string, number>;
}

/** A registry behind a real server, as Prometheus sees it. */
export async function served(t: ExecutionContext, registry: Registry = new Registry()) {
  const server = createServer((_, response) => {
    registry.metrics().then(
      (text) => response.setHeader('content-type', registry.contentType).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
  const scrape = async (): Promise<Scraped> => {
    const response = await fetch(address);
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return { contentType: response.headers.get('content-type'), ...parse(text) };
  };
  return { registry, scrape };
}

function parse(text: string): Pick<Scraped, 'about' | 'values'> {
  const about = new Map<string, { type: string; help: string }>();
  const values = new Map<string, number>();
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    const known = about.get(name) ?? { type: '', help: '' };
    if (kind === 'HELP') about.set(name, { ...known, help: rest });
    else if (kind === 'TYPE') about.set(name, { ...known, type: rest });
    else values.set(line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1)));
  }
  return { about, values };
}

/** What a figure of OpenTelemetry is called in Prometheus: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/. */
export const names: Readonly<Record<string, readonly [name: string, type: string]>> = {
  'db.client.connection.count': [`${prefix}_count`, 'gauge'],
  'db.client.connection.idle.max': [`${prefix}_idle_max`, 'gauge'],
  'db.client.connection.idle.min': [`${prefix}_idle_min`, 'gauge'],
  'db.client.connection.max': [`${prefix}_max`, 'gauge'],
  'db.client.connection.pending_requests': [`${prefix}_pending_requests`, 'gauge'],
  'db.client.connection.timeouts': [`${prefix}_timeouts_total`, 'counter'],
  'leasehold.write_lane.pending_requests': ['leasehold_write_lane_pending_requests', 'gauge'],
  'db.client.connection.create_time': [`${prefix}_create_time_seconds`, 'histogram'],
  'db.client.connection.wait_time': [`${prefix}_wait_time_seconds`, 'histogram'],
  'db.client.connection.use_time': [`${prefix}_use_time_seconds`, 'histogram'],
};
