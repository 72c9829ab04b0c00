import { types } from 'node:util';
import type Database from 'better-sqlite3';
import { noteAttempt, type TransactionMessage, transactions } from '../channels.ts';
import { frames, levelOf, withLevel } from '../context.ts';
import { isPromiseLike } from '../events.ts';
import { captureSite } from '../lease.ts';
import type { Session } from './session.ts';
import type { SqliteRequest } from './transaction-options.ts';
import { transactionsOf } from './verbs.ts';

// biome-ignore lint/suspicious/noExplicitAny: as better-sqlite3 types them, so that any function fits
export type Callback = (...params: any[]) => any;

/** How a transaction function begins: as it is, or by the name of one of its properties. */
export type Variant = 'default' | 'deferred' | 'immediate' | 'exclusive';

const variants: readonly Variant[] = ['default', 'deferred', 'immediate', 'exclusive'];

/** A transaction function with its variants, which are each other's properties as in better-sqlite3. */
export function withVariants<F extends Callback>(
  database: Database.Database,
  run: (variant: Variant, self: unknown, params: unknown[]) => unknown,
): Database.Transaction<F> {
  const properties: PropertyDescriptorMap = { database: { value: database, enumerable: true } };
  for (const variant of variants) {
    properties[variant] = {
      value: function transaction(this: unknown, ...params: unknown[]): unknown {
        return run(variant, this, params);
      },
    };
  }
  for (const variant of variants) Object.defineProperties(properties[variant]?.value, properties);
  return properties['default']?.value as Database.Transaction<F>;
}

/** Makes what runs `fn` in a transaction of a session: an async function in a managed one, any other as better-sqlite3 does. */
export function transactionRunner(
  session: Session,
  fn: Callback,
): (variant: Variant, self: unknown, params: unknown[]) => unknown {
  // Of an async generator, too, Node says that it is an async function.
  if (types.isAsyncFunction(fn) && !types.isGeneratorFunction(fn)) {
    return (variant, self, params) => runAsync(session, () => fn.apply(self, params) as unknown, variant);
  }
  return runSync(session, fn);
}

function runAsync(session: Session, fn: () => unknown, variant: Variant): Promise<unknown> {
  const { lease } = session;
  const { clock, settings } = session.connection;
  const request: SqliteRequest = {
    label: lease.label,
    signal: undefined,
    priority: 0,
    timeout: settings.acquireTimeout,
    since: clock.now(),
    scope: undefined,
    site: settings.capturesStacks ? captureSite(runAsync) : undefined,
    nesting: 'savepoint',
    readOnly: false,
    mode: variant === 'default' ? 'immediate' : variant,
  };
  if (!transactions.isActive) return transactionsOf(session).run(fn, request);
  const { pool, poolId, label, scope } = lease;
  const message: TransactionMessage = { pool, poolId, label, mode: request.mode, scope: scope?.id, attempts: 0 };
  const observed = (): unknown => {
    noteAttempt(message, lease.describe(), clock.now() - request.since);
    return fn();
  };
  return transactions.trace(message, () => transactionsOf(session).run(observed, request));
}

function runSync(session: Session, fn: Callback): (variant: Variant, self: unknown, params: unknown[]) => unknown {
  // What is no function better-sqlite3 refuses in its own words.
  const native = session.guard().raw.transaction(typeof fn === 'function' ? observed : fn);

  /** Whether its BEGIN has taken the lock that others would wait for. */
  let locks = false;

  function observed(this: unknown, ...params: unknown[]): unknown {
    if (locks) session.holdLock();
    locks = false;
    const around = frames.getStore();
    // By this mark the statements are known that it runs after its end, should it return a promise, which
    // better-sqlite3 refuses.
    const mark = {
      owner: session,
      around: levelOf(around),
      lease: session.lease,
      ended: false,
    };
    const result: unknown = frames.run(withLevel(around, mark), () => fn.apply(this, params));
    if (isPromiseLike(result)) {
      mark.ended = true;
      session.hasEscaped = true;
      session.lease.transactions = 'had';
    }
    return result;
  }

  return (variant, self, params) => {
    session.use();
    // Before it counts as in a transaction: what it holds must be held for something else.
    session.permit?.settle();
    locks = variant === 'immediate' || variant === 'exclusive';
    if (locks) session.checkWrite();
    session.running++;
    try {
      return (native[variant] as Callback).apply(self, params);
    } catch (error) {
      // Where the ROLLBACK failed too, it is still open.
      session.noteTransaction();
      session.afterError(error);
      throw error;
    } finally {
      session.running--;
      session.afterControl();
    }
  };
}
