import { type ContextLevel, type Frame, frames } from './context.ts';
import { TransactionEndedError } from './transaction-errors.ts';

/** How the function of a transaction is told that it is to be undone. */
const undone = Symbol('undone');

/** Runs `fn` as the function of a transaction. `fn` returns when the transaction is to end. */
type Transact<Handle extends object> = (fn: (tx: Handle) => Promise<void>) => Promise<void>;

/** Waits for the end of a transaction, or for what ends it before. */
type Waits = (ending: Promise<void>, level: ContextLevel) => Promise<void>;

/**
 * A transaction that ends by a call, not with a function: for libraries whose transactions begin and end in calls of their
 * own. Made by `openTransaction`. Whoever opens it has to end it: until then others wait for their turn to write.
 *
 * It is rolled back by itself when the scope that it was opened in ends, or its signal is aborted.
 */
export class OpenTransaction<Handle extends object> implements AsyncDisposable {
  /** Resolves once it has begun, with this; rejects where it can not. */
  readonly begun: Promise<this>;
  readonly #done: Promise<void>;
  /** Has it end. What is asked first counts. */
  readonly #end: (how: 'commit' | 'rollback') => void;
  /** What carries it, once it has begun. */
  #frame: Frame | undefined;
  #handle: Handle | undefined;
  /** The context of the caller of `enter`. */
  #entered: Frame | undefined;

  constructor(transact: Transact<Handle>, waits: Waits) {
    const begun = Promise.withResolvers<this>();
    const ending = Promise.withResolvers<void>();
    this.begun = begun.promise;
    this.#end = (how) => (how === 'commit' ? ending.resolve() : ending.reject(undone));
    this.#done = transact((tx) => {
      const frame = frames.getStore() as Frame;
      this.#frame = frame;
      this.#handle = tx;
      if (this.#entered !== undefined) Object.assign(this.#entered, frame);
      begun.resolve(this);
      return waits(ending.promise, frame.level as ContextLevel);
    });
    // Whoever awaits one of them is told; those who do not are not to be told as if nobody did.
    this.#done.catch(begun.reject);
    begun.promise.catch(() => {});
    ending.promise.catch(() => {});
  }

  /**
   * Runs `fn` in the transaction, or in the part of it that the caller is in. After the end, statements in `fn` are refused.
   * To be called once it has begun.
   */
  run<Result>(fn: (tx: Handle) => Result): Result {
    const frame = this.#frame as Frame;
    const tx = this.#handle as Handle;
    return this.#contains(frames.getStore()) ? fn(tx) : frames.run(frame, () => fn(tx));
  }

  /**
   * Puts what is left of the calling function into the transaction, as soon as it has begun. The context that is changed is
   * that of the caller up to its last `await`: so it is to be called only where that is code of the library which opens.
   */
  enter(): void {
    const nothing: Frame = { pool: undefined, scope: undefined, ref: undefined, next: undefined, level: undefined };
    this.#entered = { ...(frames.getStore() ?? nothing), ...this.#frame };
    frames.enterWith(this.#entered);
  }

  /**
   * Commits. Rejects where that fails; then it is rolled back.
   * @throws TransactionEndedError where it has been rolled back, and what `transaction` throws where it can not be committed
   */
  async commit(): Promise<void> {
    this.#end('commit');
    try {
      await this.#done;
    } catch (error) {
      const lease = this.#frame?.level?.lease;
      throw error === undone && lease !== undefined ? new TransactionEndedError(lease.pool, lease.label) : error;
    }
  }

  /** Rolls back. Where it has ended already, by a commit that failed or otherwise, nothing is left to do. Never rejects. */
  async rollback(): Promise<void> {
    this.#end('rollback');
    // A failure to roll back is reported to the pool's listeners.
    await this.#done.catch(() => {});
  }

  /** Rolls back, unless it has ended. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback();
  }

  /** Whether code in this frame is in the transaction, or in a part of it. */
  #contains(here: Frame | undefined): boolean {
    const own = this.#frame?.level;
    for (let level = here?.level; level !== undefined; level = level.around) if (level === own) return true;
    return false;
  }
}
