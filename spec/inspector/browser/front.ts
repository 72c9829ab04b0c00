import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Inspector } from '../../../lib/inspector.ts';
import { type Gate, gate } from '../../support/gate.ts';

type Part = 'page' | 'data' | 'events' | 'lease';

/** Stands before an inspector, as a proxy does: refuses what it is told to, and lets through so many events. */
export class Front {
  readonly #inspector: Inspector;
  readonly #refused = new Map<Part, number>();
  readonly #streams = new Set<ServerResponse>();
  /** How many events may go on still. */
  #left = Infinity;
  #more: Gate = gate();
  #told = 0;
  #heard: Gate = gate();

  constructor(inspector: Inspector) {
    this.#inspector = inspector;
  }

  /** How many streams of events are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** How many events have gone on. */
  get told(): number {
    return this.#told;
  }

  async hasTold(events: number): Promise<void> {
    while (this.#told < events) await this.#heard.passed;
  }

  refuse(part: Part, status: number): void {
    this.#refused.set(part, status);
  }

  admit(part: Part): void {
    this.#refused.delete(part);
  }

  /** Lets so many more events through, and then none. */
  pass(events: number): void {
    this.#left = events;
    this.#more.open();
    this.#more = gate();
  }

  /** Ends the streams of events, as the inspector does with long ones. */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
  }

  readonly answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const part = partOf(request);
    const refused = this.#refused.get(part);
    if (refused !== undefined) return void response.writeHead(refused).end('Bad gateway');
    if (part === 'events') await this.#stream(request, response);
    else this.#inspector.node(request, response);
  };

  async #stream({ headers, url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = new Request(`http://${headers.host}${url}`, { headers: headers as Record<string, string> });
    const { status, headers: answered, body } = await this.#inspector(request, { address: '127.0.0.1' });
    response.writeHead(status, Object.fromEntries(answered)).flushHeaders();
    this.#streams.add(response);
    const gone = gate();
    response.once('close', () => {
      this.#streams.delete(response);
      gone.open();
    });
    const reader = body?.getReader();
    for (;;) {
      const next = await Promise.race([reader?.read(), gone.passed.then(() => undefined)]);
      if (next === undefined || next.done || response.writableEnded) break;
      while (this.#left === 0 && !response.closed) await Promise.race([this.#more.passed, gone.passed]);
      if (response.closed) break;
      this.#left--;
      response.write(next.value);
      this.#told++;
      this.#heard.open();
      this.#heard = gate();
    }
    await reader?.cancel();
    response.end();
  }
}

function partOf({ url = '/' }: IncomingMessage): Part {
  const { pathname } = new URL(url, 'http://localhost');
  const part = pathname.slice(pathname.lastIndexOf('/') + 1);
  return part === 'data' || part === 'events' || part === 'lease' ? part : 'page';
}
