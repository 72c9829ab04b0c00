import type { Clock } from './clock.ts';
import { type ContextLevel, type Frame, levelOf } from './context.ts';
import type { LeaseControl } from './driver.ts';
import { joinSignals, type WaitRequest } from './holder.ts';
import type { Nesting } from './options.ts';
import { Turnstile } from './turnstile.ts';

/**
 * What a transaction asks for, whatever its database. Its `timeout` is until it must have begun, and again from its COMMIT on;
 * the end of its `scope` ends its waits.
 */
export interface TransactionRequest extends WaitRequest {
  readonly nesting: Nesting;
  /** How it begins, in the terms of the database. */
  readonly mode: string;
  /** Whether writes are refused in it. */
  readonly readOnly: boolean;
}

/** Whose transactions they are. */
interface LevelOwner {
  readonly lease: LeaseControl;
}

/**
 * A transaction, or a part of one that can be undone alone: a savepoint. `fn` runs in an async context that carries it,
 * by which its statements are told from those of other branches that use the same connection.
 */
export class Level<Request extends TransactionRequest> implements ContextLevel {
  readonly owner: LevelOwner;
  /** The level it is part of, `undefined` for a transaction. */
  readonly parent: Level<Request> | undefined;
  around: ContextLevel | undefined;
  readonly lease: LeaseControl;
  readonly request: Request;
  readonly signal: AbortSignal | undefined;
  readonly readOnly: boolean;
  readonly depth: number;
  /** `ending` while its COMMIT or ROLLBACK is under way: no statement belongs to it any more. */
  state: 'open' | 'ending' | 'ended' = 'open';
  /** The part that is open now. Only the innermost level may use the connection. */
  child: Level<Request> | undefined;
  /** Functions that take part in it by `nesting: 'join'` and have not returned. */
  joined = 0;
  /** Parts of it come one after the other. */
  #turn: Turnstile<Level<Request>> | undefined;

  constructor(owner: LevelOwner, parent: Level<Request> | undefined, around: Frame | undefined, request: Request) {
    this.owner = owner;
    this.parent = parent;
    this.around = levelOf(around);
    this.lease = owner.lease;
    this.request = request;
    this.signal = joinSignals(request.signal, parent?.signal);
    this.readOnly = request.readOnly || parent?.readOnly === true;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }

  get ended(): boolean {
    return this.state !== 'open';
  }

  turn(clock: Clock): Turnstile<Level<Request>> {
    this.#turn ??= new Turnstile(clock);
    return this.#turn;
  }

  /** Refuses the parts that wait for their turn. */
  cancelParts(makeError: () => Error): void {
    this.#turn?.refuseAll(makeError);
  }
}
