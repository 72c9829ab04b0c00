/** Whether a value out of JSON is what it has to be. */
type Shape = (value: unknown) => boolean;

// What is infinite would be null, and an inspector tells of nothing that is.
const number: Shape = (value) => typeof value === 'number';
const string: Shape = (value) => typeof value === 'string';
const boolean: Shape = (value) => typeof value === 'boolean';

function absentOr(shape: Shape): Shape {
  return (value) => value === undefined || shape(value);
}

function listOf(shape: Shape): Shape {
  return (value) => Array.isArray(value) && value.every(shape);
}

function record(fields: Readonly<Record<string, Shape>>): Shape {
  const entries = Object.entries(fields);
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    entries.every(([name, shape]) => shape((value as Readonly<Record<string, unknown>>)[name]));
}

function recordOf(shape: Shape): Shape {
  return (value) => typeof value === 'object' && value !== null && Object.values(value).every(shape);
}

const label = absentOr(string);
const span: Shape = (value) => Array.isArray(value) && value.length === 2 && value.every(number);
const quantiles = record({ count: number, p50: number, p95: number, p99: number, max: number });
const lease = record({ connection: number, label, from: number, waited: number, writes: listOf(span) });

const tick = record({
  number,
  at: number,
  loop: record({ delay: number, busy: number }),
  pools: listOf(
    record({
      pool: number,
      waiting: number,
      laneWaiting: number,
      bars: listOf((bar) => lease(bar) && record({ to: number })(bar)),
      rest: listOf(record({ connection: number, held: number, wrote: number })),
      notes: listOf(record({ at: number, kind: string, message: string })),
    }),
  ),
});

const pool = record({
  id: number,
  name: string,
  closed: boolean,
  size: number,
  idle: number,
  leased: number,
  waiting: number,
  max: number,
  full: boolean,
  lane: absentOr(
    record({
      holder: absentOr(record({ pool: string, label, kind: string, age: number })),
      waiting: number,
    }),
  ),
  counters: recordOf(number),
  waitTime: quantiles,
  holdTime: quantiles,
  connections: listOf(number),
  holders: listOf((holder) => lease(holder) && record({ age: number, inTransaction: boolean, mode: string })(holder)),
  waiters: listOf(record({ for: string, label, waited: number, left: absentOr(number), priority: number })),
  longest: listOf((bar) => lease(bar) && record({ to: number })(bar)),
});

/** Whether all of a report is there that is shown of it. */
export const isWhole = record({
  complete: boolean,
  server: record({ id: string, now: number, pid: number, node: string, uptime: number, interval: number }),
  ticks: listOf(tick),
  trends: listOf(record({ pool: number, at: number, wait: quantiles, hold: quantiles })),
  pools: listOf(pool),
});
