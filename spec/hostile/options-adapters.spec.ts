import { metrics, trace } from '@opentelemetry/api';
import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { express, transactional as expressTransactional } from '../../lib/http/express.ts';
import { fastify, transactional as fastifyTransactional } from '../../lib/http/fastify.ts';
import { hono, transactional as honoTransactional } from '../../lib/http/hono.ts';
import { koa, transactional as koaTransactional } from '../../lib/http/koa.ts';
import { node, transactional as nodeTransactional } from '../../lib/http/node.ts';
import { trpc, transactional as trpcTransactional } from '../../lib/http/trpc.ts';
import { AcquireTimeoutError, type OptionsError, type SqlitePool, WriteTimeoutError } from '../../lib/index.ts';
import { drizzle } from '../../lib/orm/drizzle.ts';
import { knexClient } from '../../lib/orm/knex.ts';
import { LeaseholdDialect } from '../../lib/orm/kysely.ts';
import { instrument } from '../../lib/telemetry/opentelemetry.ts';
import { collect } from '../../lib/telemetry/prometheus.ts';
import { temporaryPool, wrong } from '../support/sqlite.ts';
import { anyOptions, anyValue, isAllowed, type Oracle, oracles, refusalOf } from './values.ts';

const { above0, among, finite, flag, fn, text, textNotEmpty, whole } = oracles;

/** What a function of an adapter may be given, and a call of it. A promise it returns is awaited. */
interface Surface {
  readonly options: Readonly<Record<string, readonly [oracle: Oracle, good: readonly unknown[]]>>;
  call(pool: SqlitePool, options: never): unknown;
  /** Whether its options are among those of somebody else's, or may be left out with `null`. */
  readonly isPart?: boolean;
}

const handler = (): void => {};
const modes = ['immediate', 'deferred', 'exclusive'] as const;
const scope = {
  eager: [flag, [true, false]],
  label: [(value) => text(value) || fn(value), ['GET /a', () => undefined]],
} as const satisfies Surface['options'];
const call = {
  mode: [among(...modes), modes],
  label: [text, ['', 'job']],
  timeout: [above0, [5, Infinity]],
  priority: [finite, [0, -1.5]],
} as const satisfies Surface['options'];
const transactional = { ...call, rollbackFrom: [whole(100), [400, 1000]] } as const satisfies Surface['options'];
const anything: Oracle = () => true;
const withMethod =
  (name: string): Oracle =>
  (value) =>
    value !== null && ['object', 'function'].includes(typeof value) && fn((value as Record<string, unknown>)[name]);

/** A timeout that is taken as it is meant may be over before anything is had. */
function unlessLate(error: unknown): void {
  if (!(error instanceof AcquireTimeoutError || error instanceof WriteTimeoutError)) throw error;
}

const registry = new Registry();
const instance = { addHook: () => {}, decorateRequest: () => {} };

const surfaces: Readonly<Record<string, Surface>> = {
  express: { options: scope, call: (pool, options) => express(pool, options) },
  koa: { options: scope, call: (pool, options) => koa(pool, options) },
  hono: { options: scope, call: (pool, options) => hono(pool, options) },
  trpc: { options: scope, call: (pool, options) => trpc(pool, options) },
  node: { options: scope, call: (pool, options) => node(pool, handler, options) },
  fastify: {
    options: {
      ...scope,
      decorator: [(value) => value === false || textNotEmpty(value), ['db', false]],
      prefix: [anything, ['/a']],
      logLevel: [anything, ['info']],
      logSerializers: [anything, [{}]],
    },
    isPart: true,
    call: (pool, options) => {
      fastify(instance, Object.assign(Object.create(options), { pool }), (error) => {
        if (error !== undefined) throw error;
      });
    },
  },
  'transactional of express': {
    options: transactional,
    call: (pool, options) => expressTransactional(pool, handler, options),
  },
  'transactional of fastify': {
    options: transactional,
    call: (pool, options) => fastifyTransactional(pool, handler, options),
  },
  'transactional of koa': { options: transactional, call: (pool, options) => koaTransactional(pool, handler, options) },
  'transactional of hono': {
    options: transactional,
    call: (pool, options) => honoTransactional(pool, handler, options),
  },
  'transactional of node': {
    options: transactional,
    call: (pool, options) => nodeTransactional(pool, handler, options),
  },
  'transactional of trpc': { options: call, call: (pool, options) => trpcTransactional(pool, handler, options) },
  'the dialect of Kysely': {
    options: { migrationTimeout: [above0, [5, Infinity]] },
    isPart: true,
    call: (pool, options) => new LeaseholdDialect(Object.assign(Object.create(options), { pool })),
  },
  'a transaction of Drizzle': {
    options: {
      label: call.label,
      timeout: call.timeout,
      priority: call.priority,
      retries: [whole(0), [0, 1]],
      nesting: [among('savepoint', 'join', 'separate'), ['savepoint', 'join', 'separate']],
      behavior: [among(...modes), modes],
      accessMode: [among('read only', 'read write'), ['read only', 'read write']],
    },
    call: (pool, options) =>
      drizzle(pool)
        .transaction(async () => {}, options)
        .catch(unlessLate),
  },
  instrument: {
    options: { meterProvider: [withMethod('getMeter'), [metrics]], tracerProvider: [withMethod('getTracer'), [trace]] },
    call: (pool, options) => instrument(pool, options).stop(),
  },
  collect: {
    options: { registry: [(value) => typeof value === 'object' && value instanceof Registry, [registry]] },
    call: (pool, options) => collect(pool, options).stop(),
  },
};

async function outcomeOf(t: ExecutionContext, make: () => unknown): Promise<OptionsError | undefined> {
  try {
    await make();
    return undefined;
  } catch (error) {
    return refusalOf(t, error);
  }
}

function readOf(options: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(options, name)?.value;
}

for (const [name, surface] of Object.entries(surfaces)) {
  const known = Object.entries(surface.options);
  const good = Object.fromEntries(known.map(([option, [, values]]) => [option, values]));
  const oracle = Object.fromEntries(known.map(([option, [isGood]]) => [option, isGood]));

  test(`${name} takes its options as they are meant, or says which of them it does not`, async (t) => {
    const pool = temporaryPool(t);
    const outcomes = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(anyOptions(good), async (options) => {
        const refusal = await outcomeOf(t, () => surface.call(pool, wrong(options)));
        outcomes[refusal === undefined ? 'taken' : 'refused']++;
        if (refusal === undefined) {
          t.true(Object.keys(options).every((option) => isAllowed(oracle, option, readOf(options, option))));
        } else if (
          ['behavior', 'retries'].includes(refusal.option) &&
          isAllowed(oracle, refusal.option, readOf(options, refusal.option))
        ) {
          // Neither goes with a snapshot.
          t.is(readOf(options, 'accessMode'), 'read only');
        } else t.false(isAllowed(oracle, refusal.option, readOf(options, refusal.option)), refusal.option);
      }),
      { numRuns: 80 },
    );
    pool.assertIdle();
    t.true(outcomes.taken > 8 && outcomes.refused > 8, JSON.stringify(outcomes));
  });

  if (surface.isPart !== true) {
    test(`${name} refuses options that are no object, whatever they are`, async (t) => {
      const pool = temporaryPool(t);
      const noObject = anyValue.filter((value) => typeof value !== 'object' || value === null || Array.isArray(value));
      await fc.assert(
        fc.asyncProperty(noObject, async (options) => {
          const refusal = await outcomeOf(t, () => surface.call(pool, wrong(options)));
          t.is(refusal?.option, 'options');
        }),
        { numRuns: 40 },
      );
    });
  }
}

test('what is no pool is refused by the adapters of Kysely and Drizzle', async (t) => {
  const makers = fc.constantFrom<(pool: never) => unknown>(
    (pool) => new LeaseholdDialect({ pool }),
    (pool) => drizzle(pool),
    (pool) => drizzle({ client: pool }),
  );
  await fc.assert(
    fc.asyncProperty(makers, anyValue, async (make, value) => {
      const refusal = await outcomeOf(t, () => make(wrong(value)));
      t.true(['pool', 'client'].includes(refusal?.option ?? ''));
    }),
    { numRuns: 100 },
  );
});

test('a configuration that has Knex open connections is refused', (t) => {
  const Client = knexClient(temporaryPool(t));
  fc.assert(
    fc.property(fc.constantFrom('connection', 'pool'), anyValue, (option, value) => {
      const error = t.throws(() => new Client({ client: Client, [option]: value }), { code: 'ERR_LEASEHOLD_OPTIONS' });
      t.is(refusalOf(t, error).option, option);
    }),
    { numRuns: 60 },
  );
});
