import { noteAttempt, type TransactionMessage, transactions } from './channels.ts';
import { type Frame, frames } from './context.ts';
import { joinSignals, type ScopeRef, type Site } from './holder.ts';
import type { TransactionRequest } from './level.ts';
import { OpenTransaction } from './open-transaction.ts';
import type { ReadOptions } from './options.ts';
import { endsOf, pause } from './pause.ts';
import type { Entry } from './pool/request.ts';
import type { SlotLease } from './pool/slot.ts';
import type { Scope } from './scope.ts';
import { ScopedPool } from './scoped-pool.ts';
import type { Transactions } from './transaction.ts';

// First pause before a transaction is run again, doubled for each further time up to the longest, then cut by up to a
// half at random.
const firstPause = 2;
const longestPause = 200;

/** What makes one transaction different from the others. */
export interface TransactionPlan<Request extends TransactionRequest> {
  readonly options: ReadOptions;
  readonly readOnly: boolean;
  /** How often the whole is run again after a failure that may pass. */
  readonly retries: number;
  /** How it begins, in the terms of the database. */
  readonly mode: Request['mode'];
  readonly entry: Entry;
}

/** A pool whose connections can do transactions that span `await`. It knows no SQL. */
export abstract class TransactionalPool<
  Connection extends object,
  Handle extends object,
  Request extends TransactionRequest,
> extends ScopedPool<Connection, Handle> {
  /** Transactions that pause before they are run again. */
  #pausing = 0;

  protected override get waitingBeside(): number {
    return this.#pausing;
  }

  /** The managed transactions of whoever has this handle. */
  protected abstract transactionsOf(handle: Handle): Transactions<Request>;

  /** Takes a connection for one transaction. One that is late has waited for something else, and has what is left of its time. */
  protected abstract takeFor(
    request: Request,
    entry: Entry,
    scope: ScopeRef | undefined,
    isLate: boolean,
  ): SlotLease<Connection, Handle> | Promise<SlotLease<Connection, Handle>>;

  /** Whether a transaction failed for a reason that may be gone when it is run again. */
  protected abstract mayPass(error: unknown): boolean;

  /**
   * Runs `fn` in a transaction: on the connection of the scope, as part of the transaction it has open if there is one;
   * else in a scope of its own, on a connection taken for it.
   */
  protected transact<Result>(fn: (tx: Handle) => Result, plan: TransactionPlan<Request>): Promise<Awaited<Result>> {
    if (plan.options.nesting !== 'separate') this.refuseAborted(frames.getStore());
    // Here, while the caller is on the stack.
    const site = this.requests.siteOf(plan.entry);
    return transactions.isActive ? this.#transactTraced(fn, plan, site) : this.#transact(fn, plan, site);
  }

  /** Opens a transaction that ends by a call, at the latest with the scope it is opened in. */
  protected open(plan: TransactionPlan<Request>): OpenTransaction<Handle> {
    const scope = this.liveScope();
    const { label, signal } = plan.options;
    return new OpenTransaction<Handle>({
      pool: this.name,
      key: this,
      label: () => label ?? scope?.ref.label,
      signal,
      scope,
      transact: (fn) => this.transact(fn, plan),
    });
  }

  #transactTraced<Result>(
    fn: (tx: Handle) => Result,
    plan: TransactionPlan<Request>,
    site: Site | undefined,
  ): Promise<Awaited<Result>> {
    const { label, scope, mode, since } = this.#requestOf(plan, this.liveScope(), site);
    const message: TransactionMessage = { ...this.events.pool, label, mode, scope: scope?.id, attempts: 0 };
    const observed = (tx: Handle): Result => {
      noteAttempt(message, this.transactionsOf(tx).lease.describe(), this.clock.now() - since);
      return fn(tx);
    };
    return transactions.trace(message, () => this.#transact(observed, plan, site));
  }

  #transact<Result>(
    fn: (tx: Handle) => Result,
    plan: TransactionPlan<Request>,
    site: Site | undefined,
  ): Promise<Awaited<Result>> {
    if (plan.retries > 0) return this.#retry(fn, plan, site);
    const around = frames.getStore();
    const scope = this.liveScope(around);
    return this.#attempt(fn, this.#requestOf(plan, scope, site), plan.entry, scope, around);
  }

  async #retry<Result>(
    fn: (tx: Handle) => Result,
    plan: TransactionPlan<Request>,
    site: Site | undefined,
  ): Promise<Awaited<Result>> {
    for (let failures = 0; ; failures++) {
      const around = frames.getStore();
      const scope = this.liveScope(around);
      const request = this.#requestOf(plan, scope, site);
      try {
        return await this.#attempt(fn, request, plan.entry, scope, around);
      } catch (error) {
        if (failures >= plan.retries || this.#isPart(scope, request) || !this.mayPass(error)) throw error;
      }
      await this.#pause(failures, request);
      if (scope?.ended === true) throw this.endedError(scope);
    }
  }

  async #pause(failures: number, request: Request): Promise<void> {
    const longest = Math.min(firstPause * 2 ** failures, longestPause);
    this.#pausing++;
    try {
      await pause(this.clock, longest * (1 - Math.random() / 2), { signal: request.signal, ends: endsOf(request) });
    } finally {
      this.#pausing--;
    }
  }

  #requestOf(
    plan: TransactionPlan<Request>,
    scope: Scope<Connection, Handle> | undefined,
    site: Site | undefined,
  ): Request {
    const { label, signal, priority = 0, timeout = this.acquireTimeout, nesting = 'savepoint' } = plan.options;
    const request: TransactionRequest = {
      mode: plan.mode,
      label: label ?? scope?.ref.label,
      signal: joinSignals(signal, scope?.ref.signal),
      priority,
      timeout,
      since: this.clock.now(),
      scope: scope?.ref,
      site,
      nesting,
      readOnly: plan.readOnly,
    };
    return request as Request;
  }

  #attempt<Result>(
    fn: (tx: Handle) => Result,
    request: Request,
    entry: Entry,
    scope: Scope<Connection, Handle> | undefined,
    around: Frame | undefined,
  ): Promise<Awaited<Result>> {
    const run = (tx: Handle, frame = around) => this.transactionsOf(tx).run(() => fn(tx), request, frame);
    const own = (isLate = false) =>
      this.runBound(this.takeFor(request, entry, scope?.ref, isLate), run, scope, around, 'transaction');
    if (request.nesting === 'separate') return own();
    const shared = this.shared(scope, request);
    if (shared === undefined) return own();
    return shared instanceof Promise ? shared.then((tx) => (tx === undefined ? own(true) : run(tx))) : run(shared);
  }

  /** Whether it is part of a transaction around it: to run only the part again would not help. */
  #isPart(scope: Scope<Connection, Handle> | undefined, { nesting }: Request): boolean {
    const bound = scope?.bound;
    return nesting !== 'separate' && bound !== undefined && this.transactionsOf(bound).here() !== undefined;
  }
}
