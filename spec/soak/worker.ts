import { readdirSync } from 'node:fs';
import { counterFaults, gaugeFaults } from './invariants/quiet.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts';
import { perform } from './operations.ts';
import { Plans } from './plans.ts';
import { type PoolName, World } from './world.ts';

/** Operations from one quiet point to the next, and how many of them at a time. */
const roundLength = 100;
const width = 20;

const send = (message: FromWorker): void => {
  // The channel is gone if the parent is; then this process ends as well.
  if (process.connected) process.send?.(message);
};

/** The loop of one worker process: operations at random, and from time to time a look at what is left of them. */
async function work(settings: WorkerSettings): Promise<void> {
  const world = new World(settings, send);
  const plans = new Plans(settings.seed, settings.worker, settings.incarnation);
  const stopping = new AbortController();
  const goesOn = (): boolean => !stopping.signal.aborted && !world.hasFailed;
  const uncaught = (what: string) => (error: unknown) =>
    world.violate(
      'errors',
      `${what}: ${error instanceof Error ? error.stack?.split('\n').slice(0, 3).join(' ') : String(error)}`,
    );
  process.on('unhandledRejection', uncaught('unhandledRejection'));
  process.on('uncaughtException', uncaught('uncaughtException'));
  process.on('warning', uncaught('warning'));
  process.on('message', (message: ToWorker) => {
    if (message.type === 'stop') stopping.abort();
  });
  const reporting = setInterval(() => send({ type: 'figures', figures: world.figures() }), 500);
  while (goesOn()) {
    let left = roundLength;
    const runner = async (): Promise<void> => {
      while (left-- > 0 && goesOn()) await perform(world, plans.next());
    };
    await Promise.all(Array.from({ length: width }, runner));
    await quietPoint(world);
  }
  await world.close();
  clearInterval(reporting);
  send({ type: 'figures', figures: world.figures() });
  send({ type: 'done', memory: { heaps: world.heaps, descriptors: world.descriptors } });
  process.disconnect();
}

/** All operations have been awaited: nothing may be held or waited for, and all there is can be had. */
async function quietPoint(world: World): Promise<void> {
  const names = Object.keys(world.pools) as PoolName[];
  for (const name of names) await settled(world, name);
  for (const name of names) await takeAll(world, name);
  // They may be in a hook, and then `closeIdle` does not find them.
  for (const name of names) await settled(world, name);
  for (const name of names) world.pools[name].closeIdle();
  // At once: `min` connections are opened again before long.
  const descriptors = openDescriptors();
  if (descriptors !== undefined) world.descriptors.push(descriptors);
  await turn();
  globalThis.gc?.();
  await turn();
  globalThis.gc?.();
  world.heaps.push(process.memoryUsage().heapUsed);
  world.counts.quietPoints++;
}

/** A release that runs a hook is not awaited by `close()`, nor is what replaces a connection. */
const turnsToSettle = 200;

async function settled(world: World, name: PoolName): Promise<void> {
  const pool = world.pools[name];
  const faults = (): string[] => {
    const stats = pool.stats();
    const seen = { leaks: world.leaks[name], timeouts: world.timeouts[name] };
    return [...gaugeFaults(stats), ...counterFaults(stats, seen)];
  };
  for (let turns = 0; turns < turnsToSettle && faults().length > 0; turns++) await turn();
  const [fault, ...more] = faults();
  const leases = pool.leases().map(({ label, age }) => `${label} for ${age.toFixed()} ms`);
  world.check('slots', fault && `${name} is not quiet: ${[fault, ...more, ...leases].join('; ')}`);
}

/** `max` leases at once, and not one more. */
async function takeAll(world: World, name: PoolName): Promise<void> {
  const pool = world.pools[name];
  const { max } = world.settings;
  pool.resize({ max, min: name === 'hooked' ? 1 : 0 });
  world.occupancy.limit(name, max);
  const label = 'quiet point';
  const taken = await Promise.allSettled(Array.from({ length: max }, () => pool.acquire({ label, timeout: 2000 })));
  const leases = taken.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const more = pool.tryAcquire({ label });
  if (leases.length < max) {
    const [failure] = taken.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    world.check('slots', `${name} lends ${leases.length} of ${max}: ${String(failure)}`);
  } else world.check('slots', more && `${name} lends ${max + 1} of ${max}`);
  for (const db of [...leases, ...(more === undefined ? [] : [more])]) db.close();
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}

function openDescriptors(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}

// Ctrl-C reaches the whole group of processes; it is the parent that ends the soak.
process.on('SIGINT', () => {});
process.once('disconnect', () => process.exit());
await work(JSON.parse(process.argv[2] ?? '') as WorkerSettings);
