import { type Attributes, context, diag, type Span, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { type AcquireMessage, acquires, type PoolMessage, type TransactionMessage, transactions } from '../channels.ts';
import { isError, LeaseholdError, textOf } from '../errors.ts';
import { whenClosed } from '../pool/observable.ts';
import { type ObservedPool, poolName } from './figures.ts';

/** A pool whose transactions and acquires get spans. Does not hold the pool. */
interface Traced {
  readonly id: number;
  readonly name: string;
  readonly tracer: Tracer;
  /** How often it is watched. */
  watches: number;
  /** Spans that have not ended. */
  readonly open: Set<Span>;
  unlisten: () => void;
}

// All pools have one function around what is traced: one each would make every transaction as deep as there are pools.
const pools = new Map<number, Set<Traced>>();
let unsurround: (() => void) | undefined;
const collected = new FinalizationRegistry<Traced>((traced) => remove(traced));

/**
 * Makes a span for each transaction of a pool, active in its function, and one for each acquire that waits or fails. What
 * is returned ends that; so does the end of the pool.
 */
export function traceSpans(pool: ObservedPool, tracer: Tracer): () => void {
  const known = [...(pools.get(pool.id) ?? [])].find((traced) => traced.tracer === tracer && traced.name === pool.name);
  const traced = known ?? admit(pool, tracer);
  traced.watches++;
  return () => {
    if (--traced.watches === 0) remove(traced);
  };
}

function admit(pool: ObservedPool, tracer: Tracer): Traced {
  const { id, name } = pool;
  const traced: Traced = { id, name, tracer, watches: 0, open: new Set(), unlisten: () => {} };
  const sameId = pools.get(id);
  if (sameId === undefined) pools.set(id, new Set([traced]));
  else sameId.add(traced);
  traced.unlisten = pool[whenClosed](() => remove(traced));
  collected.register(pool, traced, traced);
  unsurround ??= surround();
  return traced;
}

function remove(traced: Traced): void {
  const sameId = pools.get(traced.id);
  if (sameId?.delete(traced) !== true) return;
  if (sameId.size === 0) pools.delete(traced.id);
  traced.unlisten();
  collected.unregister(traced);
  // Their children have been sent, and must not be without a parent.
  for (const span of traced.open) attempt(() => span.end());
  traced.open.clear();
  if (pools.size > 0) return;
  unsurround?.();
  unsurround = undefined;
}

function surround(): () => void {
  const ends = [transactions.surround(aroundTransaction), acquires.surround(aroundAcquire)];
  return () => {
    for (const end of ends) end();
  };
}

function tracedOf({ pool, poolId }: PoolMessage): readonly Traced[] {
  return [...(pools.get(poolId) ?? [])].filter(({ name }) => name === pool);
}

/** What a tracer or a span processor throws is its own fault, and must cost nobody a transaction or a lease. */
function attempt<Result>(tell: () => Result): Result | undefined {
  try {
    return tell();
  } catch (error) {
    diag.error('A span of Leasehold failed', error);
    return undefined;
  }
}

async function aroundTransaction(message: TransactionMessage, run: () => Promise<void>): Promise<void> {
  const around = context.active();
  const attributes = transactionAttributes(message);
  const spans = tracedOf(message).flatMap(({ tracer, open }) => {
    const span = attempt(() => tracer.startSpan('leasehold.transaction', { attributes }, around));
    if (span === undefined) return [];
    open.add(span);
    return [{ span, open }];
  });
  const innermost = spans.at(-1);
  try {
    await (innermost === undefined ? run() : context.with(trace.setSpan(around, innermost.span), run));
  } finally {
    for (const { span, open } of spans) {
      attempt(() => {
        span.setAttributes(transactionAttributes(message));
        noteError(span, message, Date.now());
      });
      if (open.delete(span)) attempt(() => span.end());
    }
  }
}

/** Only what waited or failed is worth a span: the others take less time than to make one. */
async function aroundAcquire(message: AcquireMessage, run: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  const around = context.active();
  // By the end of the wait the pool may be closed.
  const traced = tracedOf(message);
  try {
    await run();
  } finally {
    if ('error' in message || (message.waited ?? 0) > 0) {
      // Both from one clock, so that the span is as long as the wait, even if somebody sets the time.
      const end = Date.now();
      const startTime = end - Math.max(performance.now() - begun, message.waited ?? 0);
      for (const { tracer } of traced) {
        attempt(() => {
          const span = tracer.startSpan('leasehold.acquire', { startTime, attributes: attributesOf(message) }, around);
          noteError(span, message, end);
          span.end(end);
        });
      }
    }
  }
}

function transactionAttributes(message: TransactionMessage): Attributes {
  return {
    ...attributesOf(message),
    'leasehold.transaction.mode': message.mode,
    'leasehold.transaction.attempts': message.attempts,
  };
}

function attributesOf(message: AcquireMessage | TransactionMessage): Attributes {
  const { pool, label, scope, waited, lease, connection } = message;
  return {
    [poolName]: pool,
    ...(label !== undefined && { 'leasehold.label': label }),
    ...(scope !== undefined && { 'leasehold.scope': scope }),
    ...(waited !== undefined && { 'leasehold.wait_time': waited / 1000 }),
    ...(lease !== undefined && { 'leasehold.lease': lease }),
    ...(connection !== undefined && { 'leasehold.connection': connection }),
  };
}

function noteError(span: Span, message: AcquireMessage | TransactionMessage, time: number): void {
  // Whatever was thrown, be it `undefined`.
  if (!('error' in message)) return;
  const { error } = message;
  const type = typeOf(error);
  span.setAttribute('error.type', type);
  if (isError(error) && error instanceof LeaseholdError) {
    span.recordException(error, time);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  } else {
    // What others say may have SQL or a bound value in it.
    span.recordException({ name: (isError(error) ? textOf(error, 'name') : undefined) ?? type, code: type }, time);
    span.setStatus({ code: SpanStatusCode.ERROR, message: type });
  }
}

function typeOf(error: unknown): string {
  if (!isError(error)) return '_OTHER';
  return textOf(error, 'code') || textOf(error, 'name') || '_OTHER';
}
