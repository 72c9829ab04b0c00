import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { createPool } from '../../../lib/index.ts';
import { type PostgresPool, postgres } from '../../../lib/postgres.ts';
import { Random } from '../../soak/random.ts';
import { launchServer, type PostgresServer } from '../../support/postgres-server.ts';
import { Bank } from './bank.ts';
import { Findings } from './findings.ts';
import type { StormOptions } from './options.ts';
import { Stalls } from './stalls.ts';
import { Tempo } from './tempo.ts';
import { doSomething, type Site } from './work.ts';

/** A stop of the server. Times are of `performance.now()`, durations milliseconds. */
interface Outage {
  readonly mode: 'fast' | 'immediate';
  /** Operations a second before it. */
  readonly pace: number;
  readonly down: number;
  /** When the server took connections again. */
  readonly backAt: number;
}

const name = 'storm';
// How soon work has to go on, and what is left after it has to be gone.
const patience = 2000;
const downtime = 500;
const longestWork = 5000;

/** Work for as long as it is told, and what harms it. */
export class Storm {
  readonly options: StormOptions;
  readonly findings = new Findings();
  readonly tempo = new Tempo();
  readonly bank = new Bank();
  readonly outages: Outage[] = [];
  readonly #server: PostgresServer;
  readonly #site: Site;
  readonly #endsAt: number;
  kills = 0;
  isDown = false;

  private constructor(options: StormOptions, server: PostgresServer) {
    this.options = options;
    this.#server = server;
    this.#endsAt = performance.now() + options.seconds * 1000;
    const { bank, findings } = this;
    this.#site = {
      pool: poolOf(server, options),
      bank,
      findings,
      stalls: new Stalls(),
      latest: 0,
      onCommit: undefined,
    };
  }

  static async run(options: StormOptions, begun: (storm: Storm) => void): Promise<Storm> {
    // What was said to be committed has to outlast a server that is stopped at once.
    const server = await launchServer({ settings: { synchronous_commit: 'on', deadlock_timeout: '50ms' } });
    try {
      const storm = new Storm(options, server);
      await using(server, (client) => storm.bank.open(client));
      begun(storm);
      await storm.#blow();
      return storm;
    } finally {
      await server.close();
    }
  }

  get left(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  get latest(): number {
    return this.#site.latest;
  }

  get longestStall(): number {
    return this.#site.stalls.longest;
  }

  get pool(): PostgresPool {
    return this.#site.pool;
  }

  /** Milliseconds until work went on after each stop of the server. */
  recoveries(): (number | undefined)[] {
    return this.outages.map(({ backAt, pace }) => this.tempo.back(backAt, pace));
  }

  async #blow(): Promise<void> {
    const { workers, seed } = this.options;
    const working = Array.from({ length: workers }, (_, number) => this.#work(new Random(seed, number)));
    await Promise.all([this.#terminate(new Random(seed, workers)), this.#restart()]);
    await delay(this.left);
    // Every wait of theirs has an end by then.
    const abort = new AbortController();
    const { signal } = abort;
    await Promise.race([Promise.all(working), delay(longestWork, undefined, { signal }).catch(() => {})]);
    abort.abort();
    await this.#leftOver();
    this.#site.stalls.stop();
    this.recoveries().forEach((recovery, index) => {
      const backAt = this.outages[index]?.backAt ?? 0;
      // Where the storm was over before that, nobody knows.
      const isOver = recovery === undefined && this.#endsAt - backAt < patience;
      if (!isOver && (recovery ?? Infinity) > patience)
        this.findings.violate(`throughput: back ${recovery ?? Infinity} ms after the server was`);
    });
    await using(this.#server, (client) => this.bank.audit(client, this.findings));
  }

  async #work(random: Random): Promise<void> {
    while (this.left > 0) {
      if (await doSomething(this.#site, random)) this.tempo.count();
    }
  }

  /** From the side, one session after the other, every second one at its commit. What the server was down for is made up for. */
  async #terminate(random: Random): Promise<void> {
    const { kills, seconds } = this.options;
    const start = this.#endsAt - seconds * 1000;
    let client: Client | undefined;
    for (let kill = 0; kill < kills && this.left > 0; ) {
      await delay(Math.max(1, start + ((kill + 0.5) * seconds * 1000) / kills - performance.now()));
      try {
        client ??= await connect(this.#server);
        const pid = kill % 2 === 0 ? await anyOf(client, random) : await this.#committing();
        if (!(await terminate(client, pid))) continue;
        kill++;
        this.kills++;
      } catch {
        client?.end().catch(() => {});
        client = undefined;
      }
    }
    await client?.end().catch(() => {});
  }

  /** The session of the next transfer that is about to be committed: it will be hit in the middle of that, or so. */
  async #committing(): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const timer = setTimeout(resolve, 100, undefined);
    this.#site.onCommit = resolve;
    const pid = await promise;
    clearTimeout(timer);
    this.#site.onCommit = undefined;
    return pid;
  }

  async #restart(): Promise<void> {
    const { restarts, seconds } = this.options;
    for (let restart = 0; restart < restarts; restart++) {
      await delay(
        Math.max(0, this.#endsAt - (seconds * 1000 * (restarts - restart)) / (restarts + 1) - performance.now()),
      );
      const mode = restart % 2 === 0 ? 'fast' : 'immediate';
      const stoppedAt = performance.now();
      const pace = this.tempo.before(stoppedAt, 2);
      this.isDown = true;
      await this.#server.stop(mode);
      await delay(downtime);
      await this.#server.start();
      this.isDown = false;
      const backAt = performance.now();
      this.outages.push({ mode, pace, down: backAt - stoppedAt, backAt });
    }
  }

  /** Every lease has to have come back, and every session to be gone. */
  async #leftOver(): Promise<void> {
    const { pool } = this;
    const until = performance.now() + patience;
    const isIdle = () => pool.stats().size === pool.stats().idle;
    while (!isIdle() && performance.now() < until) await delay(10);
    const { leased, waiting, size, idle } = pool.stats();
    if (leased !== 0 || waiting !== 0 || size !== idle)
      this.findings.violate(`leases: ${leased} leased, ${waiting} waiting, ${idle} of ${size} idle at the end`);
    for (const { label, age } of pool.leases())
      this.findings.violate(`hangs: ${label} has its connection for ${Math.round(age)} ms`);
    await pool.close({ timeout: patience });
    if (pool.stats().size !== 0) this.findings.violate(`close: ${pool.stats().size} connections are left`);
    await using(this.#server, async (client) => {
      while ((await sessions(client)).length > 0) {
        if (performance.now() > until + patience) return this.findings.violate('close: the server still has sessions');
        await delay(10);
      }
    });
  }
}

function poolOf(server: PostgresServer, { max }: StormOptions): PostgresPool {
  const target = postgres({ connectionString: server.url(), application_name: name });
  return createPool(target, { name, max, acquireTimeout: 1000, maxLifetime: 5000, validateAfter: 1000 });
}

async function sessions(client: Client): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid',
    [name],
  );
  return rows.map(({ pid }) => pid);
}

async function anyOf(client: Client, random: Random): Promise<number | undefined> {
  const [first, ...others] = await sessions(client);
  return first === undefined ? undefined : random.pick([first, ...others]);
}

async function terminate(client: Client, pid: number | undefined): Promise<boolean> {
  if (pid === undefined) return false;
  const { rows } = await client.query<{ isHit: boolean }>('SELECT pg_terminate_backend($1) AS "isHit"', [pid]);
  return rows[0]?.isHit === true;
}

async function connect(server: PostgresServer): Promise<Client> {
  const client = new Client({ connectionString: server.url() });
  // It is lost with the server.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function using(server: PostgresServer, use: (client: Client) => Promise<void>): Promise<void> {
  const client = await connect(server);
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
