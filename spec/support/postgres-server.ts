import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type Binaries, findBinaries } from './postgres-binaries.ts';
import { type Certificates, makeCertificates } from './postgres-certificates.ts';
import { makeData, own, writeOwned } from './postgres-data.ts';
import { freePort } from './postgres-port.ts';
import { Watchdog } from './postgres-process.ts';

/** Just enough of ava's `t` to end a server after a test. */
export interface TestContext {
  teardown(fn: () => void | Promise<void>): void;
}

export interface ServerOptions {
  /** Settings of the server, as `postgres -c` takes them. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Whether it speaks TLS, with a certificate for localhost and 127.0.0.1. It still speaks without. */
  readonly ssl?: boolean;
}

/** How a server is stopped: `fast` ends its sessions, `immediate` does not even do that, and recovers when started. */
export type StopMode = 'fast' | 'immediate';

const signals = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const satisfies Record<StopMode, NodeJS.Signals>;

/**
 * Nothing that a test writes needs to survive the machine. It does survive the server: with `synchronous_commit` off, it would
 * not, and without syncing files that costs nothing.
 */
const haste = { fsync: 'off', full_page_writes: 'off' };
/** A standby can follow whenever one is made. */
const usual = {
  ...haste,
  shared_buffers: '16MB',
  wal_keep_size: '64MB',
  unix_socket_directories: '',
  log_checkpoints: 'off',
};

/** A server of a test's own, ended after the test with all that it has. */
export async function startServer(t: TestContext, options: ServerOptions = {}): Promise<PostgresServer> {
  const server = await launchServer(options);
  t.teardown(() => server.close());
  return server;
}

/** A server that goes with `close()`, or with the process, however that ends. */
export async function launchServer(options: ServerOptions = {}): Promise<PostgresServer> {
  return PostgresServer.launch(options, async (binaries, directory) => ({
    password: await makeData(binaries, directory),
    certificates: options.ssl === true ? makeCertificates() : undefined,
  }));
}

/** What a server is made with, besides its data. */
export interface Equipment {
  readonly password: string;
  readonly certificates: Certificates | undefined;
}

/** A real PostgreSQL server on 127.0.0.1. */
export class PostgresServer {
  /** The same for as long as there is the server, also when it was stopped and started. */
  readonly port: number;
  readonly options: ServerOptions;
  readonly equipment: Equipment;
  readonly #binaries: Binaries;
  readonly #directory: string;
  readonly #watchdog: Watchdog;
  #pid: number | undefined;

  private constructor(
    options: ServerOptions,
    port: number,
    binaries: Binaries,
    equipment: Equipment,
    dog: Watchdog,
    directory: string,
  ) {
    this.options = options;
    this.port = port;
    this.equipment = equipment;
    this.#binaries = binaries;
    this.#watchdog = dog;
    this.#directory = directory;
  }

  /** Starts a server with what `prepare` has put into the directory. */
  static async launch(
    options: ServerOptions,
    prepare: (binaries: Binaries, directory: string) => Promise<Equipment>,
  ): Promise<PostgresServer> {
    const binaries = findBinaries();
    const directory = mkdtempSync(join(tmpdir(), 'leasehold-postgres-'));
    const dog = new Watchdog(directory);
    try {
      own(directory, binaries.user);
      const equipment = await prepare(binaries, directory);
      const { certificates } = equipment;
      if (certificates !== undefined) {
        writeOwned(join(directory, 'server.crt'), certificates.certificate, binaries.user);
        writeOwned(join(directory, 'server.key'), certificates.key, binaries.user);
      }
      for (let attempt = 1; ; attempt++) {
        const server = new PostgresServer(options, await freePort(), binaries, equipment, dog, directory);
        try {
          await server.start();
          return server;
        } catch (error) {
          // Another process may have taken the port meanwhile.
          if (attempt === 5 || !String(error).includes('could not create any TCP/IP sockets')) throw error;
        }
      }
    } catch (error) {
      await dog.close();
      throw error;
    }
  }

  /** The directory with its data, which is in use while it runs. */
  get data(): string {
    return join(this.#directory, 'data');
  }

  /** The certificate, in PEM, of who has signed that of the server. */
  get ca(): string {
    const { certificates } = this.equipment;
    if (certificates === undefined) throw new Error('This server has no certificate: start it with { ssl: true }.');
    return certificates.ca;
  }

  /** Of the process that starts all others of the server. */
  get pid(): number {
    if (this.#pid === undefined) throw new Error('The server is stopped.');
    return this.#pid;
  }

  /** For its superuser, with the password. */
  url(database = 'postgres'): string {
    return `postgres://postgres:${this.equipment.password}@127.0.0.1:${this.port}/${database}`;
  }

  /** What it has logged since it was made. */
  log(): string {
    return readFileSync(join(this.#directory, 'log'), 'utf8');
  }

  /** Starts it where it was stopped, and waits until it takes connections. */
  async start(): Promise<void> {
    if (this.#pid !== undefined) throw new Error('The server runs already.');
    const settings = {
      ...usual,
      ...this.#tls(),
      ...this.options.settings,
      listen_addresses: '127.0.0.1',
      port: this.port,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const { postgres: program, user } = this.#binaries;
    const order = { type: 'start', program, args: ['-D', this.data, ...args], user } as const;
    this.#pid = await this.#watchdog.ask(order);
  }

  /** Stops it, and waits until it has ended. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#end(signals[mode]);
  }

  /** Stops it, and starts it on the same port. */
  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** Makes a primary of a standby, and waits until it is one. */
  async promote(): Promise<void> {
    const client = new Client({ connectionString: this.url() });
    await client.connect();
    try {
      await client.query('SELECT pg_promote()');
      const { rows } = await client.query<{ waits: boolean }>('SELECT pg_is_in_recovery() AS waits');
      if (rows[0]?.waits !== false) throw new Error('The standby was not promoted within a minute.');
    } finally {
      await client.end();
    }
  }

  /** Kills its first process, as the operating system does when memory runs out: the others end when they notice. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Ends it for good, and removes all that it has. */
  async close(): Promise<void> {
    this.#pid = undefined;
    await this.#watchdog.close();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#pid = undefined;
    await this.#watchdog.ask({ type: 'stop', signal });
  }

  #tls(): Record<string, string> {
    if (this.equipment.certificates === undefined) return {};
    const file = (name: string) => join(this.#directory, name);
    return { ssl: 'on', ssl_cert_file: file('server.crt'), ssl_key_file: file('server.key') };
  }
}
