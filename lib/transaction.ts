import { Cancellations } from './cancellations.ts';
import type { Clock } from './clock.ts';
import { frames, withLevel } from './context.ts';
import type { LeaseControl } from './driver.ts';
import { AbortError } from './errors.ts';
import { isPromiseLike } from './events.ts';
import { joinSignals } from './holder.ts';
import { Level, type TransactionRequest } from './level.ts';
import {
  ReadOnlyError,
  TransactionAbortedError,
  TransactionBusyError,
  TransactionEndedError,
} from './transaction-errors.ts';
import { deadlineOf, Turnstile } from './turnstile.ts';

/**
 * What a database does for the transactions of one lease. A verb that has to wait returns a promise; one that fails
 * leaves things as they were.
 */
export interface TransactionVerbs<Request extends TransactionRequest> {
  /**
   * Begins a transaction, having waited for what it needs. Calls `opened` in the very step in which it is open, so that
   * no other statement slips in.
   */
  begin(request: Request, opened: () => void): void | Promise<void>;
  commit(request: Request): void | Promise<void>;
  /** Rolls back what is open, if anything is. */
  rollback(): void | Promise<void>;
  /** Calls `opened` as `begin` does. */
  savepoint(depth: number, opened: () => void, request: Request): void | Promise<void>;
  release(depth: number): void | Promise<void>;
  rollbackTo(depth: number): void | Promise<void>;
  /** The outermost transaction has ended, however: what it held beside the connection is given back. */
  end(): void;
  /** Whether the database has a transaction open. `undefined` where it can not be told now. */
  isOpen(): boolean | undefined;
  /** Throws where something is open on the connection that is not Leasehold's to end. */
  checkFree(): void;
  /** Whether what `commit` throws says all there is to say: it passes through, whatever has become of the transaction. */
  readonly explainsCommit?: boolean;
  /** What runs on the connection and must end before the transaction can, in words. */
  unfinished(): string | undefined;
}

/**
 * The managed transactions of one lease: one at a time, each a stack of levels.
 *
 * Invariants between any two `await`s:
 * - a statement reaches the connection only if the innermost open level is that of its own async context, which has
 *   none where no transaction is open;
 * - the levels from the transaction to `#current` are linked by `child`, and the database has a savepoint for each but
 *   the first, unless `#failure` is set.
 */
export class Transactions<Request extends TransactionRequest> {
  readonly #verbs: TransactionVerbs<Request>;
  readonly lease: LeaseControl;
  readonly #clock: Clock;
  readonly #turn: Turnstile<Level<Request>>;
  /** Waits of this lease for something else than a connection. They end with it. */
  readonly ends = new Cancellations();
  /** The transaction that is open, or about to be. */
  #root: Level<Request> | undefined;
  /** The innermost open level. */
  #current: Level<Request> | undefined;
  /** Why the open transaction can not be committed any more. */
  #failure: { readonly cause: unknown } | undefined;
  /** An error after which the database may have ended the transaction, found when that could not be told. */
  #suspect: { readonly cause: unknown } | undefined;
  /** Why a transaction could be neither committed nor rolled back. Nothing runs on this connection any more. */
  #broken: { readonly cause: unknown } | undefined;

  constructor(verbs: TransactionVerbs<Request>, lease: LeaseControl, clock: Clock) {
    this.#verbs = verbs;
    this.lease = lease;
    this.#clock = clock;
    this.#turn = new Turnstile(clock);
  }

  /** The innermost open level, `undefined` while no transaction is open. */
  get current(): Level<Request> | undefined {
    return this.#current;
  }

  /** The innermost level that the present async context carries, ended or not. */
  here(around = frames.getStore()): Level<Request> | undefined {
    for (let level = around?.level; level !== undefined; level = level.around) {
      if (level.owner === this) return level as Level<Request>;
    }
    return undefined;
  }

  /**
   * Lets a statement of the present async context pass, or throws.
   * @throws TransactionBusyError, TransactionEndedError, TransactionAbortedError, AbortError
   */
  check(): void {
    const level = this.here();
    const current = this.#current;
    if (this.#broken !== undefined) throw this.#abortedError(level, this.#broken);
    if (level?.ended === true) throw this.#endedError(level);
    if (level !== current) throw this.#busyError(current, 'other branch');
    if (level === undefined) return;
    if (this.#suspect !== undefined) this.#investigate(this.#suspect);
    if (this.#failure !== undefined) throw this.#abortedError(level, this.#failure);
    if (level.signal?.aborted) throw new AbortError(level.signal);
  }

  /**
   * Lets a statement pass that had to wait after `check`, unless what it was to be part of has come to its end meanwhile.
   * @param level that was current then. A level whose COMMIT is yet to come still takes what came before that.
   */
  checkAgain(level: Level<Request> | undefined): void {
    // A level that has ended is current no more, nor is one that could not be rolled back.
    if (this.#broken !== undefined || level !== this.#current) throw this.#busyError(this.#current, 'other branch');
    if (level !== undefined && this.#failure !== undefined) throw this.#abortedError(level, this.#failure);
  }

  /** Whether the database may have ended the transaction, and could not be asked. Then nothing may be written. */
  refuseSuspect(): void {
    if (this.#suspect !== undefined) throw this.#abortedError(this.#current, this.#suspect);
  }

  /** A statement has failed. Some failures end the transaction, and SQLite says so only by having ended it. */
  noteError(cause: unknown): void {
    if (this.#current !== undefined && this.#failure === undefined) this.#investigate({ cause });
  }

  /**
   * Runs `fn` in a transaction, or as a part of the one its async context is in. Parts that are started side by side
   * run one after the other. What `fn` throws passes through unchanged.
   *
   * @throws TransactionEndedError, TransactionAbortedError, TransactionBusyError, ReadOnlyError, AbortError, and what
   * the verbs throw
   */
  async run<Result>(fn: () => Result, asked: Request, around = frames.getStore()): Promise<Awaited<Result>> {
    const request = this.#withSignal(asked);
    const outer = this.here(around);
    if (this.lease.ended) throw this.lease.endedError();
    if (outer !== undefined) this.#admit(outer, request);
    const level = new Level(this, outer, around, request);
    const turn = outer === undefined ? this.#turn : outer.turn(this.#clock);
    // What those before it have open is theirs to end.
    if (turn.holder === undefined) this.#verbs.checkFree();
    this.lease.transactions = 'had';
    if (!turn.tryEnter(level)) await this.#waitForTurn(turn, level);
    // To read in a transaction that writes takes a level of its own, in which writes are refused.
    const joins = outer !== undefined && request.nesting === 'join' && outer.readOnly === level.readOnly;
    if (joins) turn.leave(level);
    try {
      this.#refuse(level, outer);
      if (joins) return await this.#join(outer, fn);
      // Always awaited: only after an `await` does `enterWith` change the context of nothing but the rest of this call.
      await this.#begin(level);
      let result: Awaited<Result>;
      try {
        this.#refuse(level, outer);
        frames.enterWith(withLevel(around, level));
        const returned = fn();
        result = isPromiseLike(returned) ? await returned : (returned as Awaited<Result>);
      } catch (error) {
        await this.#rollBack(level);
        throw error;
      }
      const committing = this.#commit(level);
      if (committing !== undefined) await committing;
      return result;
    } catch (error) {
      // To join is to fail together, once it has begun.
      if (outer?.ended === false && request.nesting === 'join' && level.ended) this.#failure ??= { cause: error };
      throw error;
    } finally {
      if (!joins) turn.leave(level);
    }
  }

  /** The lease has ended, and its clean-up has rolled back what was open. */
  leaseEnded(): void {
    this.ends.cancel(() => this.lease.endedError());
    this.#abandon(this.#root);
    this.#root = undefined;
    this.#current = undefined;
    this.#failure = undefined;
    this.#suspect = undefined;
  }

  /** A request that ends with the lease's signal as well as with its own. */
  #withSignal(request: Request): Request {
    const signal = joinSignals(request.signal, this.lease.signal);
    return signal === request.signal ? request : { ...request, signal };
  }

  #admit(outer: Level<Request>, request: Request): void {
    if (outer.ended) throw this.#endedError(outer);
    if (outer.readOnly && !request.readOnly) throw new ReadOnlyError(this.lease.pool, this.#labelOf(outer), 'read');
  }

  async #waitForTurn(turn: Turnstile<Level<Request>>, level: Level<Request>): Promise<void> {
    const { signal, priority, timeout } = level.request;
    const deadline = deadlineOf(level.request.since, timeout, this.#clock);
    const timeoutError = () => this.#busyError(turn.holder, 'timeout', `${Math.round(timeout)}`);
    await turn.enter({ holder: level, signal, priority, ...deadline, scope: undefined, timeoutError }, [this.ends]);
  }

  /** Looks once more at what may have changed while it waited. */
  #refuse(level: Level<Request>, outer: Level<Request> | undefined): void {
    if (this.lease.ended) throw this.lease.endedError();
    if (this.#broken !== undefined) throw this.#abortedError(level, this.#broken);
    if (level.ended) throw this.#endedError(level);
    if (level.signal?.aborted) throw new AbortError(level.signal);
    if (outer === undefined) return;
    if (outer.ended) throw this.#endedError(outer);
    if (this.#failure !== undefined) throw this.#abortedError(outer, this.#failure);
  }

  /** Runs `fn` as part of a level that is open. What it has done can not be undone alone, so if it fails all fails. */
  async #join<Result>(level: Level<Request>, fn: () => Result): Promise<Awaited<Result>> {
    level.joined++;
    try {
      return await fn();
    } catch (cause) {
      if (!level.ended) this.#failure ??= { cause };
      throw cause;
    } finally {
      level.joined--;
    }
  }

  /** From here on it is part of its parent, though it is open only when the database says so. */
  #begin(level: Level<Request>): void | Promise<void> {
    const { parent } = level;
    const opened = (): void => {
      // It may have come to its end with its parent, or with the lease.
      if (!level.ended) this.#current = level;
    };
    if (parent === undefined) this.#root = level;
    else parent.child = level;
    try {
      const beginning =
        parent === undefined
          ? this.#verbs.begin(level.request, opened)
          : this.#verbs.savepoint(level.depth, opened, level.request);
      return beginning?.catch((error: unknown) => this.#notBegun(level, error));
    } catch (error) {
      return this.#notBegun(level, error);
    }
  }

  #notBegun(level: Level<Request>, error: unknown): never {
    if (level.parent?.child === level) level.parent.child = undefined;
    if (this.#root === level) this.#root = undefined;
    throw error;
  }

  /** Rejects where the level could not be committed; then it is rolled back. */
  #commit(level: Level<Request>): void | Promise<void> {
    const refusal = this.#refusal(level);
    if (refusal !== undefined) return this.#rollBackAndThrow(level, refusal);
    level.state = 'ending';
    try {
      const committing =
        level.parent === undefined ? this.#verbs.commit(level.request) : this.#verbs.release(level.depth);
      if (committing !== undefined) {
        return committing.then(
          () => this.#close(level),
          (error: unknown) => this.#rollBackAndThrow(level, this.#commitError(level, error)),
        );
      }
    } catch (error) {
      return this.#rollBackAndThrow(level, this.#commitError(level, error));
    }
    this.#close(level);
    return undefined;
  }

  /** Why a level whose function has returned must not be committed. */
  #refusal(level: Level<Request>): Error | undefined {
    if (this.lease.ended) return this.lease.endedError();
    if (level.ended) return this.#endedError(level);
    if (this.#suspect !== undefined) this.#investigate(this.#suspect);
    if (this.#failure !== undefined) return this.#abortedError(level, this.#failure);
    if (level.signal?.aborted) return new AbortError(level.signal);
    if (level.child !== undefined) return this.#busyError(level, 'unfinished', 'a nested transaction was open');
    if (level.joined > 0) return this.#busyError(level, 'unfinished', 'a function that takes part was running');
    const unfinished = this.#verbs.unfinished();
    return unfinished === undefined ? undefined : this.#busyError(level, 'unfinished', unfinished);
  }

  #commitError(level: Level<Request>, error: unknown): unknown {
    if (this.lease.ended || this.#verbs.explainsCommit === true || this.#verbs.isOpen() !== false) return error;
    return this.#abortedError(level, { cause: error });
  }

  async #rollBackAndThrow(level: Level<Request>, error: unknown): Promise<never> {
    await this.#rollBack(level);
    throw error;
  }

  /** Undoes a level and all within it. A failure to do so is reported, never thrown: the caller has an error already. */
  async #rollBack(level: Level<Request>): Promise<void> {
    // Undone already: by the end of the lease, or together with a level around it.
    if (level.state === 'ended') return;
    this.#abandon(level.child);
    level.state = 'ending';
    try {
      // Where it has failed as a whole, there may be no savepoint to go back to.
      if (level.parent === undefined) await this.#verbs.rollback();
      else if (this.#failure === undefined) await this.#verbs.rollbackTo(level.depth);
    } catch (error) {
      this.lease.report(error, 'Rolling back failed');
      if (level.parent === undefined) {
        this.#broken = { cause: error };
        this.lease.discard('failed rollback');
      } else this.#failure ??= { cause: error };
    }
    if (!this.lease.ended) this.#close(level);
  }

  /** Ends levels whose savepoints are gone. */
  #abandon(level: Level<Request> | undefined): void {
    for (let inner = level; inner !== undefined; inner = inner.child) {
      const ended = inner;
      ended.state = 'ended';
      ended.cancelParts(() => this.#endedError(ended));
    }
  }

  #close(level: Level<Request>): void {
    this.#abandon(level);
    const { parent } = level;
    this.#current = parent;
    if (parent !== undefined) {
      parent.child = undefined;
      return;
    }
    this.#root = undefined;
    this.#failure = undefined;
    this.#suspect = undefined;
    // What is broken still holds its locks, until the connection is closed.
    if (this.#broken === undefined) this.#verbs.end();
  }

  #investigate(suspect: { readonly cause: unknown }): void {
    const isOpen = this.#verbs.isOpen();
    this.#suspect = isOpen === undefined ? suspect : undefined;
    if (isOpen === false) this.#failure ??= suspect;
  }

  #labelOf(level: Level<Request> | undefined): string | undefined {
    return level?.request.label ?? this.lease.label;
  }

  #endedError(level: Level<Request>): Error {
    return new TransactionEndedError(this.lease.pool, this.#labelOf(level));
  }

  #abortedError(level: Level<Request> | undefined, { cause }: { readonly cause: unknown }): Error {
    return new TransactionAbortedError(this.lease.pool, this.#labelOf(level), cause);
  }

  #busyError(level: Level<Request> | undefined, reason: 'other branch' | 'unfinished' | 'timeout', detail = ''): Error {
    return new TransactionBusyError(this.lease.pool, this.#labelOf(level), reason, detail);
  }
}
