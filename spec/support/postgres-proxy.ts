import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from './postgres-server.ts';

/** Which way is frozen: both, or only from the server, so that what is said is heard, and the answer is not. */
export type Frozen = 'both' | 'answers';

/** A proxy before a server on 127.0.0.1, whose connections break in the ways in which those over a network do. */
export async function proxyTo(t: TestContext, port: number): Promise<TcpProxy> {
  const proxy = new TcpProxy(port);
  await proxy.listen();
  t.teardown(() => proxy.close());
  return proxy;
}

/** The two ends of a connection. */
interface Line {
  readonly client: Socket;
  readonly server: Socket;
}

export class TcpProxy {
  /** How many connections it has accepted. */
  accepted = 0;
  readonly #target: number;
  readonly #listener: Server;
  readonly #lines = new Set<Line>();
  #frozen: Frozen | undefined;
  /** The type of the message that is the last to pass, and what has come since somebody asked for that. */
  #last: { readonly type: string; held: Buffer } | undefined;

  constructor(target: number) {
    this.#target = target;
    this.#listener = createServer({ pauseOnConnect: true }, (client) => this.#accept(client));
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** How many connections there are now. */
  get open(): number {
    return this.#lines.size;
  }

  async listen(): Promise<void> {
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
  }

  /**
   * From now on nothing passes, and nobody is told: as after a cable was pulled. Connections are accepted, what is written
   * to them is taken, and neither end hears of the end of the other.
   */
  freeze(direction: Frozen = 'both'): void {
    this.#frozen = direction;
    for (const line of this.#lines) this.#regulate(line);
  }

  /**
   * Freezes the answers as soon as the server has sent a message of a type (https://www.postgresql.org/docs/current/protocol-message-formats.html).
   * To be called where there is one connection, and the server has nothing to say.
   */
  freezeAfter(type: string): void {
    this.#last = { type, held: Buffer.alloc(0) };
  }

  /** What was held passes, and all that comes. */
  thaw(): void {
    this.#frozen = undefined;
    const held = this.#last?.held;
    this.#last = undefined;
    for (const line of this.#lines) {
      if (held !== undefined && held.length > 0) line.client.write(held);
      this.#regulate(line);
    }
  }

  /** Resets all connections there are, at both ends. What was held is lost. New ones are accepted, and frozen if it is. */
  cut(): void {
    for (const { client, server } of this.#lines) {
      reset(client);
      reset(server);
    }
    this.#lines.clear();
  }

  /** Accepts no more connections, and resets those there are. */
  async close(): Promise<void> {
    this.cut();
    if (!this.#listener.listening) return;
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #accept(client: Socket): void {
    this.accepted++;
    const server = connect({ host: '127.0.0.1', port: this.#target, allowHalfOpen: false }).pause();
    const line = { client, server };
    this.#lines.add(line);
    join(client, server, (chunk) => chunk);
    join(server, client, (chunk) => this.#passing(chunk));
    for (const socket of [client, server]) {
      socket.once('close', () => {
        if (client.destroyed && server.destroyed) this.#lines.delete(line);
      });
    }
    this.#regulate(line);
  }

  /** What may pass of what the server says. */
  #passing(chunk: Buffer): Buffer {
    const last = this.#last;
    if (last === undefined) return chunk;
    last.held = Buffer.concat([last.held, chunk]);
    let end = 0;
    // A byte that says the type, and four for the length, which count themselves.
    while (this.#frozen === undefined && end + 5 <= last.held.length) {
      const next = end + 1 + last.held.readUInt32BE(end + 1);
      if (next > last.held.length) break;
      if (String.fromCodePoint(last.held.readUInt8(end)) === last.type) this.freeze('answers');
      end = next;
    }
    const passing = last.held.subarray(0, end);
    last.held = last.held.subarray(end);
    return passing;
  }

  /** A socket that is paused reads nothing: what the system takes for it waits there. */
  #regulate({ client, server }: Line): void {
    if (this.#frozen === 'both') client.pause();
    else client.resume();
    if (this.#frozen === undefined) server.resume();
    else server.pause();
  }
}

/** Hands on what one end says, and that it ends. */
function join(from: Socket, to: Socket, passing: (chunk: Buffer) => Buffer): void {
  from.on('data', (chunk: Buffer) => to.write(passing(chunk)));
  from.on('end', () => to.end());
  // A reset is handed on as one, and so is a server that does not listen.
  from.on('error', () => reset(to));
  from.setNoDelay(true);
}

/** A socket that is about to end cannot be reset: Node.js would neither close it nor let its thread exit. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
