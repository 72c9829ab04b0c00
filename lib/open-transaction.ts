import { type Frame, frames, frameWithin } from './context.ts';
import { AbortError, isError } from './errors.ts';
import type { OpenPart, Scope } from './scope.ts';
import { TransactionBusyError, TransactionEndedError } from './transaction-errors.ts';

/** What an open transaction needs of its pool. */
export interface OpenTransactionContext<Handle extends object> {
  /** Name of the pool. */
  readonly pool: string;
  /** By what frames know the pool. */
  readonly key: object;
  label(): string | undefined;
  readonly signal: AbortSignal | undefined;
  /** The scope that it does not outlive. */
  readonly scope: Pick<Scope<object, object>, 'transactions'> | undefined;
  /** Runs `fn` as the function of a transaction. `fn` returns when the transaction is to end. */
  transact(fn: (tx: Handle) => Promise<void>): Promise<void>;
}

/** Leads to a transaction until that is over. */
interface Link {
  undo: ((error: Error) => void) | undefined;
}

/**
 * A signal may live on and on, and the pool has those of its leases. So they refer to a transaction weakly: else one that is
 * dropped would never be missed. This keeps what they refer to, as long as anybody could use the handle.
 */
const links = new WeakMap<object, Set<Link>>();

/**
 * A transaction that ends by a call, not with a function: for libraries whose transactions begin and end in calls of their
 * own. Made by `openTransaction`. Whoever opens it has to end it: until then others wait for their turn to write.
 *
 * It is rolled back by itself when the scope that it was opened in ends, or its signal is aborted.
 *
 * Invariant: `#over` is set only before it has begun, and then it never begins for anybody: if its turn comes, it is
 * passed on.
 */
export class OpenTransaction<Handle extends object> implements AsyncDisposable {
  /** Resolves once it has begun, with this; rejects where it can not. */
  readonly begun: Promise<this>;
  readonly #context: OpenTransactionContext<Handle>;
  /** What its function waits for. What is asked first counts. */
  readonly #ending = Promise.withResolvers<void>();
  /** What has become of it, as its callers are told. */
  readonly #outcome = Promise.withResolvers<void>();
  /** Nothing of it is left, not even its turn. */
  readonly #gone: Promise<void>;
  #isAsked = false;
  /** Why it was rolled back. */
  #reason: Error | undefined;
  /** Why it will not begin. */
  #over: Error | undefined;
  /** What carries it, once it has begun. */
  #frame: Frame | undefined;
  #handle: Handle | undefined;
  /** Contexts that were entered before it has begun. */
  #entered: Frame[] = [];
  /** Has what may outlive it forget it. */
  readonly #withdrawals: (() => void)[] = [];

  constructor(context: OpenTransactionContext<Handle>) {
    this.#context = context;
    const begun = Promise.withResolvers<this>();
    this.begun = begun.promise;
    const { scope } = context;
    if (scope !== undefined) {
      scope.transactions ??= new Set();
      this.#enlist(scope.transactions);
    }
    const done = this.#transact((tx) => {
      this.#begin(tx);
      begun.resolve(this);
      return this.#ending.promise;
    });
    // Whoever commits what was rolled back is told that it has ended, not why.
    const failed = (error: unknown): void => this.#outcome.reject(error === this.#reason ? this.#endedError() : error);
    done.then(this.#outcome.resolve, failed);
    const forget = (): void => this.#forget();
    this.#gone = done.then(forget, forget);
    // Whoever awaits one of them is told; those who do not are not to be told as if nobody did.
    this.#outcome.promise.catch((error: Error) => {
      if (this.#frame === undefined) this.#over = error;
      begun.reject(error);
    });
    begun.promise.catch(() => {});
    this.#ending.promise.catch(() => {});
  }

  /**
   * Runs `fn` in the transaction, or in the part of it that the caller is in. After the end, statements in `fn` are refused.
   *
   * @throws TransactionBusyError before it has begun; where it never will, what `begun` rejects with. What `fn` throws passes
   * through unchanged
   */
  run<Result>(fn: (tx: Handle) => Result): Result {
    const tx = this.#handle;
    // Outside of the transaction its statements would commit by themselves.
    if (tx === undefined)
      throw this.#over ?? new TransactionBusyError(this.#context.pool, this.#context.label(), 'not begun');
    const here = frames.getStore();
    const frame = this.#frameFor(here);
    return frame === here ? fn(tx) : frames.run(frame, () => fn(tx));
  }

  /**
   * Puts what is left of the calling function into the transaction, as soon as it has begun. The context that is changed is
   * that of the caller up to its last `await`: so it is to be called only where that is code of the library which opens.
   *
   * @throws what `begun` rejects with, where it never will begin
   */
  enter(): void {
    if (this.#over !== undefined) throw this.#over;
    const here = frames.getStore();
    if (this.#frame !== undefined) {
      frames.enterWith(this.#frameFor(here));
      return;
    }
    const nothing: Frame = { pool: undefined, scope: undefined, ref: undefined, next: undefined, level: undefined };
    const entered = { ...(here ?? nothing) };
    this.#entered.push(entered);
    frames.enterWith(entered);
  }

  /** Resolves when it has been committed; rejects when it has been rolled back, also by itself. Never unhandled. */
  get ended(): Promise<void> {
    return this.#outcome.promise;
  }

  /**
   * Commits. Rejects where that fails; then it is rolled back.
   * @throws TransactionEndedError where it has been rolled back, and what `transaction` throws where it can not be committed
   */
  async commit(): Promise<void> {
    this.#isAsked = true;
    this.#ending.resolve();
    await this.#outcome.promise;
  }

  /**
   * Rolls back. One that has not begun never will, which is not waited for. Where it has ended already, by a commit that
   * failed or otherwise, nothing is left to do. Never rejects.
   *
   * @param reason an error for which it is rolled back, for those who trace transactions
   */
  async rollback(reason?: unknown): Promise<void> {
    if (!this.#isAsked) {
      this.#isAsked = true;
      this.#reason = isError(reason) ? reason : undefined;
      this.#undo(this.#endedError());
    }
    // A failure to roll back is reported to the pool's listeners.
    await this.#outcome.promise.catch(() => {});
  }

  /** Rolls back, unless it has ended. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback();
  }

  /** Here some refusals are thrown, there all come with the promise. */
  async #transact(fn: (tx: Handle) => Promise<void>): Promise<void> {
    await this.#context.transact(fn);
  }

  #begin(tx: Handle): void {
    if (this.#over !== undefined) throw this.#over;
    const frame = frames.getStore() as Frame;
    this.#frame = frame;
    this.#handle = tx;
    for (const entered of this.#entered) Object.assign(entered, frame);
    this.#entered = [];
    // One that takes part in another has the level of that, and with it another's signal.
    const { signal } = this.#context;
    const levelSignal = frame.level?.signal;
    if (signal !== undefined) this.#endWith(signal, tx);
    if (levelSignal !== undefined && levelSignal !== signal) this.#endWith(levelSignal, tx);
  }

  #endedError(): Error {
    return new TransactionEndedError(this.#context.pool, this.#context.label());
  }

  #undo(error: Error): void {
    this.#ending.reject(this.#reason ?? error);
    if (this.#frame !== undefined) return;
    this.#over ??= error;
    this.#outcome.reject(this.#over);
  }

  #enlist(transactions: Set<OpenPart>): void {
    const part: OpenPart = {
      lease: () => this.#frame?.level?.lease,
      end: (makeError) => {
        this.#undo(makeError());
        return this.#gone;
      },
    };
    transactions.add(part);
    this.#withdrawals.push(() => void transactions.delete(part));
  }

  #endWith(signal: AbortSignal, tx: Handle): void {
    // V8 keeps what a WeakRef is made for until microtasks are done, so that is not the transaction with all it holds.
    const link: Link = { undo: (error) => this.#undo(error) };
    const abort = undoing(new WeakRef(link), signal);
    const kept = links.get(tx) ?? new Set();
    links.set(tx, kept.add(link));
    signal.addEventListener('abort', abort, { once: true });
    this.#withdrawals.push(() => {
      signal.removeEventListener('abort', abort);
      kept.delete(link);
      link.undo = undefined;
    });
  }

  #forget(): void {
    for (const withdraw of this.#withdrawals) withdraw();
  }

  /** What carries the transaction for code in this frame. */
  #frameFor(here: Frame | undefined): Frame {
    return frameWithin(here, this.#frame as Frame, this.#context.key);
  }
}

/** A listener that leads to nothing but the link. Made apart: where it closes over more, it would keep that. */
function undoing(weak: WeakRef<Link>, signal: AbortSignal): () => void {
  return () => weak.deref()?.undo?.(new AbortError(signal));
}
