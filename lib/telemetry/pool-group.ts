import { whenClosed } from '../pool/observable.ts';
import { type Gauge, type GaugeValue, gauges, type ObservedPool, type Timing, timings } from './figures.ts';

/** One figure of all pools of one name. */
export interface Reading {
  readonly gauge: Gauge;
  readonly pool: string;
  readonly state: 'idle' | 'used' | undefined;
  readonly value: number;
}

export interface PoolGroupHooks {
  /** A pool of this name took so long. */
  record(timing: Timing, pool: string, seconds: number): void;
  /** The last pool of this name is gone. */
  left(pool: string): void;
}

interface Member {
  readonly name: string;
  /** A pool that everybody else has forgotten shall not live on here. Nor may a function that is kept here hold it. */
  readonly pool: WeakRef<ObservedPool>;
  /** How often it is watched. */
  watches: number;
  readonly ends: ((pool: ObservedPool) => void)[];
  /** Its counters as they were read last. */
  readonly counted: Map<Gauge, number>;
}

/** Pools of one name. What they count is added up, and a counter keeps what those have counted that are gone. */
interface Namesakes {
  readonly members: Set<Member>;
  readonly counted: Map<Gauge, number>;
}

/** The pools that are shown in one place. Each is there until it is not watched any more, closed, or collected. */
export class PoolGroup {
  readonly #hooks: PoolGroupHooks;
  readonly #known = new WeakMap<ObservedPool, Member>();
  readonly #names = new Map<string, Namesakes>();
  /** Pools that are not watched any more, and what they had counted by then. */
  readonly #left = new WeakMap<ObservedPool, { readonly namesakes: Namesakes; readonly counted: Member['counted'] }>();
  readonly #collected = new FinalizationRegistry<Member>((member) => this.#remove(member));

  constructor(hooks: PoolGroupHooks) {
    this.#hooks = hooks;
  }

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  /** What is returned takes it out again, unless somebody else watches it here too. */
  add(pool: ObservedPool): () => void {
    const member = this.#known.get(pool) ?? this.#admit(pool);
    member.watches++;
    return () => {
      if (--member.watches === 0) this.#remove(member);
    };
  }

  read(): Reading[] {
    return [...this.#names].flatMap(([pool, namesakes]) =>
      gauges.flatMap((gauge) => sum(gauge, namesakes).map((reading) => ({ gauge, pool, ...reading }))),
    );
  }

  #admit(pool: ObservedPool): Member {
    const { name } = pool;
    const member: Member = { name, pool: new WeakRef(pool), watches: 0, ends: [], counted: new Map() };
    for (const timing of timings) {
      member.ends.push(timing.follow(pool, (seconds) => this.#hooks.record(timing, name, seconds)));
    }
    const unlisten = pool[whenClosed](() => this.#remove(member));
    member.ends.push(() => unlisten());
    this.#collected.register(pool, member, member);
    this.#known.set(pool, member);
    const namesakes = this.#names.get(name) ?? { members: new Set(), counted: new Map() };
    this.#names.set(name, namesakes);
    namesakes.members.add(member);
    // What it had counted when it left is counted by itself again.
    const left = this.#left.get(pool);
    if (left?.namesakes === namesakes) add(namesakes.counted, left.counted, -1);
    return member;
  }

  #remove(member: Member): void {
    const namesakes = this.#names.get(member.name);
    if (namesakes?.members.delete(member) !== true) return;
    const pool = member.pool.deref();
    if (pool !== undefined) {
      for (const end of member.ends) end(pool);
      this.#known.delete(pool);
      this.#collected.unregister(member);
      count(member, pool);
    }
    add(namesakes.counted, member.counted, 1);
    if (pool !== undefined) this.#left.set(pool, { namesakes, counted: member.counted });
    if (namesakes.members.size > 0) return;
    this.#names.delete(member.name);
    this.#hooks.left(member.name);
  }
}

function add(sums: Map<Gauge, number>, counted: ReadonlyMap<Gauge, number>, sign: 1 | -1): void {
  for (const [gauge, value] of counted) sums.set(gauge, (sums.get(gauge) ?? 0) + sign * value);
}

/** Remembers what a pool has counted, for when it is gone. */
function count(member: Member, pool: ObservedPool): void {
  const stats = pool.stats();
  for (const gauge of gauges) {
    const [reading] = gauge.kind === 'counter' ? gauge.values(stats) : [];
    if (reading !== undefined) member.counted.set(gauge, reading.value);
  }
}

function sum(gauge: Gauge, { members, counted }: Namesakes): Pick<Reading, 'state' | 'value'>[] {
  const sums = new Map<Reading['state'], number>();
  const base = counted.get(gauge);
  if (base !== undefined) sums.set(undefined, base);
  for (const member of members) {
    for (const { value, state } of valuesOf(gauge, member)) sums.set(state, (sums.get(state) ?? 0) + value);
  }
  return [...sums].map(([state, value]) => ({ state, value }));
}

function valuesOf(gauge: Gauge, { pool, counted }: Member): readonly GaugeValue[] {
  const present = pool.deref();
  if (present !== undefined) {
    const values = gauge.values(present.stats());
    if (gauge.kind === 'counter' && values[0] !== undefined) counted.set(gauge, values[0].value);
    return values;
  }
  // It has been collected, and nobody has been told of that yet.
  const last = counted.get(gauge);
  return last === undefined ? [] : [{ value: last }];
}
