import type {
  Bar,
  Holder,
  Note,
  PoolState,
  PoolTick,
  Quantiles,
  Report,
  Rest,
  Server,
  Tick,
  Trend,
  Waiter,
} from '../../../lib/inspector/wire.ts';

/** A sort of request. */
export interface Kind {
  readonly label: string | undefined;
  readonly weight: number;
  /** Mean time it is held. */
  readonly hold: number;
  readonly does: 'read' | 'write' | 'both' | 'nothing';
}

export interface Load {
  readonly name: string;
  readonly max: number;
  /** Requests a second, at a time of day. */
  readonly rate: (at: number) => number;
  readonly kinds: readonly Kind[];
  readonly timeout: number;
  /** Bars told of a connection in a tick; the others are summed up. */
  readonly bars: number;
  readonly closed?: boolean;
  readonly notes?: readonly Pick<Note, 'kind' | 'message'>[];
}

interface Request {
  readonly kind: Kind;
  readonly at: number;
  readonly lease: number;
}

interface Lease extends Request {
  readonly connection: number;
  readonly from: number;
  readonly until: number;
}

const window = 60_000;
export const interval = 500;

/** Requests that come and go at random, the same for the same seed: what an inspector would tell of a pool that served them. */
export class Simulation {
  readonly #load: Load;
  readonly #id: number;
  readonly #server: string;
  #seed: number;
  #now: number;
  #number = 0;
  #lease = 0;
  #queue: Request[] = [];
  #writers: Request[] = [];
  #held = new Map<number, Lease>();
  #lane: Lease | undefined;
  #ended: Lease[] = [];
  #notes: Note[] = [];
  #waits: number[] = [];
  #holds: number[] = [];
  #most = { leased: 0, waiting: 0, laneWaiting: 0 };
  #counts = { acquired: 0, released: 0, timeouts: 0 };
  #told = { acquired: 0, released: 0 };
  #longest: Bar[] = [];
  readonly ticks: Tick[] = [];
  readonly trends: Trend[] = [];

  constructor(load: Load, id: number, now: number, seed = 7) {
    this.#load = load;
    this.#id = id;
    this.#server = `fixture-${seed}`;
    this.#seed = seed;
    this.#now = now - window - 5000;
    this.advance(now);
  }

  advance(to: number): void {
    while (this.#now + interval <= to) {
      const end = this.#now + interval;
      while (this.#now < end) this.#step();
      if (this.#load.closed !== true) this.#tick();
    }
  }

  #random(): number {
    this.#seed = (this.#seed * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return this.#seed / 2 ** 32;
  }

  #step(): void {
    this.#now++;
    const now = this.#now;
    for (const [connection, lease] of this.#held) {
      if (lease.until > now) continue;
      this.#held.delete(connection);
      this.#end(lease);
    }
    if (this.#lane !== undefined && this.#lane.until <= now) {
      this.#end(this.#lane);
      this.#lane = undefined;
    }
    for (let due = this.#load.rate(now) / 1000; this.#random() < due; due--) {
      const request = { kind: this.#kind(), at: now, lease: ++this.#lease };
      (request.kind.does === 'write' ? this.#writers : this.#queue).push(request);
    }
    this.#queue = this.#queue.filter((request) => !this.#late(request));
    this.#writers = this.#writers.filter((request) => !this.#late(request));
    for (let connection = 2; connection <= this.#load.max + 1 && this.#queue.length > 0; connection++) {
      if (!this.#held.has(connection))
        this.#held.set(connection, this.#begin(this.#queue.shift() as Request, connection));
    }
    const writer = this.#lane === undefined ? this.#writers.shift() : undefined;
    if (writer !== undefined) this.#lane = this.#begin(writer, 1);
    const most = this.#most;
    most.leased = Math.max(most.leased, this.#held.size);
    most.waiting = Math.max(most.waiting, this.#queue.length);
    most.laneWaiting = Math.max(most.laneWaiting, this.#writers.length);
  }

  #late({ kind, at, lease }: Request): boolean {
    if (this.#now - at < this.#load.timeout) return false;
    this.#counts.timeouts++;
    const message = `Timed out after ${this.#load.timeout} ms waiting for a connection of "${this.#load.name}" (${this.#load.max} of ${this.#load.max} in use).`;
    this.#notes.push({ at: this.#now, kind: 'timeout', label: kind.label, lease, connection: undefined, message });
    return true;
  }

  #kind(): Kind {
    const { kinds } = this.#load;
    let at = this.#random() * kinds.reduce((sum, kind) => sum + kind.weight, 0);
    for (const kind of kinds) {
      at -= kind.weight;
      if (at < 0) return kind;
    }
    return kinds[0] as Kind;
  }

  #begin(request: Request, connection: number): Lease {
    this.#counts.acquired++;
    this.#waits.push(this.#now - request.at);
    const until = this.#now + Math.max(1, -Math.log(1 - this.#random()) * request.kind.hold);
    return { ...request, connection, from: this.#now, until };
  }

  #end(lease: Lease): void {
    this.#counts.released++;
    this.#holds.push(lease.until - lease.from);
    this.#ended.push(lease);
    const note = this.#load.notes?.[Math.floor(this.#random() * 400)];
    if (note === undefined) return;
    const { connection, kind, lease: number } = lease;
    this.#notes.push({ at: this.#now, ...note, label: kind.label, lease: number, connection });
  }

  #tick(): void {
    const bars: Bar[] = [];
    const rest: Rest[] = [];
    for (const connection of new Set(this.#ended.map((lease) => lease.connection))) {
      const ended = this.#ended.filter((lease) => lease.connection === connection);
      const longest = ended.toSorted((a, b) => b.until - b.from - (a.until - a.from)).slice(0, this.#load.bars);
      bars.push(...longest.map(barOf));
      const others = ended.filter((lease) => !longest.includes(lease));
      if (others.length > 0) rest.push(restOf(connection, others));
    }
    this.#longest = [...this.#longest, ...bars].toSorted((a, b) => b.to - b.from - (a.to - a.from)).slice(0, 20);
    const { acquired, released } = this.#counts;
    const pool: PoolTick = {
      pool: this.#id,
      ...this.#most,
      bars,
      rest,
      notes: this.#notes,
      acquired: acquired - this.#told.acquired,
      released: released - this.#told.released,
    };
    const busy = Math.min(0.98, this.#most.leased / this.#load.max / 2 + this.#random() * 0.2);
    const loop = { delay: 1 + this.#random() * busy * 30, busy };
    this.ticks.push({ number: ++this.#number, at: this.#now, loop, pools: [pool] });
    if (this.ticks.length > window / interval) this.ticks.shift();
    this.#told = { acquired, released };
    this.#most = { leased: this.#held.size, waiting: this.#queue.length, laneWaiting: this.#writers.length };
    this.#ended = [];
    this.#notes = [];
    if (this.#number % 10 !== 0) return;
    this.trends.push({ pool: this.#id, at: this.#now, wait: quantiles(this.#waits), hold: quantiles(this.#holds) });
    this.#waits = [];
    this.#holds = [];
  }

  server(): Server {
    return {
      id: this.#server,
      now: this.#now,
      pid: 4242,
      node: 'v24.21.0',
      uptime: 11_543_000,
      interval,
      window,
      showsSql: true,
    };
  }

  state(): PoolState {
    const { name, max, closed, kinds } = this.#load;
    const all = [...this.#held.values(), ...(this.#lane === undefined ? [] : [this.#lane])];
    const holders = all.toSorted((a, b) => a.from - b.from).map((lease) => this.#holder(lease));
    const waiters = [
      ...this.#queue.map((request) => this.#waiter(request, 'connection')),
      ...this.#writers.map((request) => this.#waiter(request, 'write lane')),
    ];
    const lane = this.#lane;
    const wait = this.trends.at(-1)?.wait ?? quantiles([]);
    const hold = this.trends.at(-1)?.hold ?? quantiles([]);
    return {
      id: this.#id,
      name,
      closed: closed ?? false,
      size: closed ? 0 : max,
      idle: max - this.#held.size,
      leased: this.#held.size,
      waiting: this.#queue.length,
      max,
      min: 0,
      full: this.#held.size >= max,
      lane: {
        waiting: this.#writers.length,
        holder: lane && {
          pool: name,
          label: lane.kind.label,
          kind: 'transaction',
          age: this.#now - lane.from,
          lease: lane.lease,
        },
      },
      counters: { ...this.#counts, refused: 0, opened: max, closed: 0, discarded: 0, doubleReleases: 0, deadlocks: 0 },
      waitTime: wait,
      holdTime: hold,
      openTime: quantiles([0.3, 0.4]),
      connections: closed ? [] : Array.from({ length: max + 1 }, (_, index) => index + 1),
      holders: holders.slice(0, 100),
      waiters: waiters.slice(0, 100),
      longest: this.#longest,
      labels: kinds.map(({ label, weight, hold: mean }) => ({
        label,
        leased: 0,
        acquired: weight * 100,
        timeouts: 0,
        waitTime: wait,
        holdTime: { ...hold, p50: mean * 0.7, p95: mean * 3, p99: mean * 4.6, count: weight * 100 },
      })),
    };
  }

  #holder(lease: Lease): Holder {
    const { kind, from, at, lease: number, connection } = lease;
    const bar = barOf({ ...lease, until: this.#now });
    return {
      lease: number,
      connection,
      label: kind.label,
      from,
      age: this.#now - from,
      idleFor: (this.#now - from) / 3,
      inTransaction: kind.does !== 'nothing',
      mode: kind.does === 'write' ? 'write' : kind.does === 'read' ? 'read' : 'connection',
      scope: number + 900,
      waited: from - at,
      writes: bar.writes,
      reads: bar.reads,
      stack: `Error\n    at report (file:///app/server.ts:${41 + (number % 90)}:17)\n    at async handle (file:///app/server.ts:12:3)`,
      sql: `SELECT * FROM orders WHERE customer = ? AND placed > ? ORDER BY placed DESC LIMIT 50`,
    };
  }

  #waiter({ kind, at, lease }: Request, what: Waiter['for']): Waiter {
    const waited = this.#now - at;
    return { for: what, label: kind.label, waited, left: this.#load.timeout - waited, priority: 0, scope: lease + 900 };
  }

  report(after?: number): Report {
    const ticks = after === undefined ? this.ticks : this.ticks.filter((tick) => tick.number > after);
    const since = ticks[0]?.at ?? this.#now;
    const trends = after === undefined ? this.trends : this.trends.filter((trend) => trend.at >= since);
    return { protocol: 1, complete: after === undefined, server: this.server(), ticks, trends, pools: [this.state()] };
  }
}

function barOf({ lease, connection, kind, from, until: to, at }: Lease): Bar {
  const { does, label } = kind;
  const part = (to - from) / 4;
  const writes = does === 'write' ? [[from, to] as const] : [];
  const reads = does === 'read' ? [[from, to] as const] : does === 'both' ? [[from + part, to - part] as const] : [];
  return { lease, connection, label, from, to, waited: from - at, writes, reads };
}

function restOf(connection: number, leases: readonly Lease[]): Rest {
  const held = leases.reduce((sum, { from, until }) => sum + until - from, 0);
  const wrote = connection === 1 ? held : 0;
  const waited = leases.reduce((sum, { from, at }) => sum + from - at, 0);
  return {
    connection,
    leases: leases.length,
    held: Math.min(interval, held),
    wrote,
    waited,
    label: leases[0]?.kind.label,
  };
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
