import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { InspectedPool } from '../../../lib/inspector/subject.ts';
import type { Report } from '../../../lib/inspector/wire.ts';
import { type Inspector, type InspectorOptions, inspector } from '../../../lib/inspector.ts';
import { eventually } from '../../http/support-b.ts';

/** Whoever asks from this machine, as its server knows it. */
export const here = { address: '127.0.0.1' } as const;

export interface Site {
  readonly url: string;
  readonly port: number;
  readonly server: Server;
}

/** An inspector that is closed after the test. */
export function inspect(
  t: ExecutionContext,
  pools: InspectedPool | readonly InspectedPool[],
  options?: InspectorOptions,
): Inspector {
  const page = inspector(pools, options);
  t.teardown(() => page.close());
  return page;
}

export async function serve(t: ExecutionContext, listener: RequestListener): Promise<Site> {
  return listening(t, createServer(listener));
}

export async function listening(t: ExecutionContext, server: Server): Promise<Site> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, server };
}

/** A request to this machine, as a handler of the fetch standard gets it. */
export function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Request {
  return new Request(`http://localhost${path}`, { method, headers: { host: 'localhost', ...headers } });
}

/** Splits what is sent of server-sent events, as it comes. */
export class EventParser {
  readonly fields: { readonly event: string; readonly id: string; readonly data: string }[] = [];
  retry: string | undefined;
  #rest = '';

  feed(piece: string): void {
    const blocks = (this.#rest + piece).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const of = (name: string) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      this.retry = of('retry') ?? this.retry;
      const data = of('data');
      if (data !== undefined) this.fields.push({ event: of('event') ?? '', id: of('id') ?? '', data });
    }
  }

  get last(): Report | undefined {
    const last = this.fields.at(-1);
    return last && (JSON.parse(last.data) as Report);
  }

  get reports(): Report[] {
    return this.fields.map(({ data }) => JSON.parse(data) as Report);
  }
}

/** One who listens to events over a socket of its own, and reads only when it is told. */
export interface Listener {
  readonly response: IncomingMessage;
  readonly parser: EventParser;
  /** Reads until so many reports have come, or the stream has ended. */
  until(count: number): Promise<Report[]>;
  /** Reads until the server has ended the stream. */
  untilEnd(): Promise<Report[]>;
  /** Goes away without a word. */
  abort(): void;
}

export async function listen(t: ExecutionContext, { port }: { readonly port: number }, path = '/events') {
  const request = get({ port, host: '127.0.0.1', path, agent: false, headers: { host: 'localhost' } });
  t.teardown(() => void request.destroy());
  request.on('error', () => {});
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.setEncoding('utf8').pause();
  const parser = new EventParser();
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  response
    .on('data', (piece: string) => parser.feed(piece))
    .on('end', end)
    .on('error', end);
  response.pause();
  const until = async (isEnough: () => boolean): Promise<Report[]> => {
    response.resume();
    await eventually(
      () => isEnough() || isOver,
      () => `${parser.fields.length} reports`,
    );
    response.pause();
    return parser.reports;
  };
  const listener: Listener = {
    response,
    parser,
    until: (count) => until(() => parser.fields.length >= count),
    untilEnd: () => until(() => false),
    abort: () => void response.socket.resetAndDestroy(),
  };
  return listener;
}
