import { PriorityQueue } from 'p-queue';
import type { Clock, Timer } from './clock.ts';
import { Deadlines } from './deadlines.ts';
import { AbortError } from './errors.ts';
import type { ScopeRef, Site } from './holder.ts';

/** What a queue goes by. */
export interface QueueRequest {
  readonly signal: AbortSignal | undefined;
  readonly priority: number;
  /** Milliseconds from `since`. */
  readonly timeout: number;
  /** Time of the clock at which it was asked: no earlier than that of any before it with the same timeout. */
  readonly since: number;
  /** The scope it is asked in, whose end cancels it. */
  readonly scope: ScopeRef | undefined;
}

/** What an acquire asks for. */
export interface WaiterRequest extends QueueRequest {
  readonly label: string | undefined;
  /** The scope that will hold the lease until code in it gives it back. */
  readonly holder: ScopeRef | undefined;
  /** Time of the clock at which the caller began to wait, if that is before `since` because he waited for something else first. */
  readonly askedAt: number | undefined;
  /** Where the acquire was called, if stacks are captured. */
  readonly site: Site | undefined;
  /** What the caller is to get: to make a handle of a lease later would take another promise. */
  readonly wants: 'lease' | 'handle';
}

/** What is asked for by one who does not wait. */
export type ImmediateRequest = Pick<WaiterRequest, 'label' | 'signal' | 'since' | 'holder' | 'askedAt' | 'site'>;

/**
 * One who waits in a queue, for a connection or for his turn.
 *
 * Invariant: it is settled exactly once, by whichever comes first of grant, timeout, abort and
 * rejection. Everything that settles it does so in one synchronous step, so nothing can be
 * granted to a waiter that has given up.
 */
export class Waiter<Request extends QueueRequest, Granted> {
  /** What was asked for; nobody's once it is settled. */
  request: Request;
  /** Of those with the same priority the one with the lower number is served first. */
  readonly order: number;
  /** Gone once it is settled, because it would keep the outcome alive. Take it right after `add`. */
  promise: Promise<Granted> | undefined;
  /** Set until it is settled. */
  #resolve: ((granted: Granted) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #onSettled: ((waiter: Waiter<Request, Granted>) => void) | undefined;
  #onAbort: (() => void) | undefined;
  /** Called when it is settled, however. */
  onEnd: (() => void) | undefined;

  constructor(request: Request, order: number, onSettled: (waiter: Waiter<Request, Granted>) => void) {
    this.request = request;
    this.order = order;
    this.#onSettled = onSettled;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /**
   * Absolute time at which it gives up. An upper bound: `WaiterQueue.next` holds to it even if the timer is late. Not kept,
   * because a number with a fraction takes 24 bytes. Of no meaning once it is settled.
   */
  get deadline(): number {
    return this.request.since + this.request.timeout;
  }

  get settled(): boolean {
    return this.#resolve === undefined;
  }

  /** Calls `onAbort` when the request's signal is aborted, unless the waiter is settled by then. */
  listen(onAbort: (waiter: Waiter<Request, Granted>) => void): void {
    this.#onAbort = () => onAbort(this);
    this.request.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  grant(granted: Granted): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#settle();
    resolve(granted);
  }

  /** Whether this call is the one that settled it. */
  reject(error: unknown): boolean {
    const reject = this.#reject;
    if (reject === undefined) return false;
    this.#settle();
    reject(error);
    return true;
  }

  #settle(): void {
    this.#resolve = undefined;
    this.#reject = undefined;
    if (this.#onAbort !== undefined) this.request.signal?.removeEventListener('abort', this.#onAbort);
    this.#onSettled?.(this);
    this.onEnd?.();
    // A settled waiter may stay in the queues for a while, and must not keep its caller's world alive there.
    this.request = nobody as QueueRequest as Request;
    this.promise = undefined;
    this.#onAbort = undefined;
    this.#onSettled = undefined;
    this.onEnd = undefined;
  }
}

// Of every kind of request at once.
const nobody = Object.freeze({
  label: undefined,
  signal: undefined,
  priority: 0,
  timeout: 0,
  since: 0,
  scope: undefined,
  holder: undefined,
  askedAt: undefined,
  site: undefined,
  wants: 'lease',
} satisfies WaiterRequest);

export interface WaiterQueueHooks<Request extends QueueRequest> {
  /**
   * The error of a waiter whose deadline has passed. Called once a waiter, before it is rejected. `position` is from 1,
   * `lateBy` how many milliseconds ago the deadline was.
   */
  timeoutError(request: Request, position: number | undefined, lateBy: number): Error;
  onTimeout(request: Request, error: Error): void;
  /** A signal was aborted, or a scope ended. */
  onAborted(): void;
}

// Settled waiters tolerated in a queue beyond the number of live ones before they are swept out.
const slack = 64;

// To tell the position of a waiter is to look at all the others: 10 µs in a queue of this length.
const longestCounted = 5000;

/**
 * Waiters by priority, then arrival, each with a deadline.
 *
 * They sit in p-queue's `PriorityQueue`. Removing from the middle of it costs O(n), so a waiter that is settled
 * stays where it is, is skipped when its turn comes, and is swept out once the settled outnumber the live.
 */
export class WaiterQueue<Request extends QueueRequest, Granted> {
  readonly #clock: Clock;
  readonly #hooks: WaiterQueueHooks<Request>;
  readonly #marksScopes: boolean;
  readonly #byTurn = new PriorityQueue();
  readonly #deadlines = new Deadlines<Waiter<Request, Granted>>();
  /** Waiters by the scope they were called in; those outside every scope are not listed. */
  readonly #byScope = new Map<ScopeRef, Set<Waiter<Request, Granted>>>();
  /** Waiters not settled. */
  #live = 0;
  #lastOrder = 0;
  #timer: Timer | undefined;
  /** When `#timer` fires; `Infinity` without one. Never later than the earliest live deadline. */
  #timerDue = Infinity;

  /** @param marksScopes whether who waits here shows in the `waiting` of its scope */
  constructor(clock: Clock, hooks: WaiterQueueHooks<Request>, marksScopes = true) {
    this.#clock = clock;
    this.#hooks = hooks;
    this.#marksScopes = marksScopes;
  }

  get size(): number {
    return this.#live;
  }

  /** Queues an acquire. The caller has checked that the signal is not aborted yet. */
  add(request: Request): Waiter<Request, Granted> {
    const waiter = new Waiter<Request, Granted>(request, ++this.#lastOrder, this.#settled);
    if (request.signal !== undefined) waiter.listen(this.#aborted);
    enqueue(this.#byTurn, waiter, request.priority);
    this.#deadlines.add(waiter, request.timeout);
    this.#live++;
    if (request.scope !== undefined) this.#enter(waiter, request.scope);
    if (waiter.deadline < this.#timerDue || this.#timer === undefined) this.#arm(waiter.deadline, request.since);
    else if (this.#live === 1) this.#timer.ref();
    return waiter;
  }

  /** Takes out the waiter whose turn it is. One whose deadline has passed is refused on the way. */
  next(now = this.#clock.now()): Waiter<Request, Granted> | undefined {
    for (;;) {
      const waiter = dequeue<Request, Granted>(this.#byTurn);
      if (waiter === undefined) return undefined;
      if (waiter.settled) continue;
      // Its own abort listener may come after the one that brought the connection here.
      if (waiter.request.signal?.aborted) this.#aborted(waiter);
      else if (waiter.deadline > now) return waiter;
      else this.#expire(waiter, 1);
    }
  }

  /** What the first of those that wait have asked for, in the order of their turn. One pass: there may be very many. */
  first(limit: number): Request[] {
    const chosen: Waiter<Request, Granted>[] = [];
    this.#deadlines.each((waiter) => {
      const last = chosen.at(-1);
      if (chosen.length === limit && (last === undefined || !isBefore(waiter, last))) return;
      const place = chosen.findLastIndex((other) => !isBefore(waiter, other)) + 1;
      chosen.splice(place, 0, waiter);
      if (chosen.length > limit) chosen.pop();
    });
    return chosen.map(({ request }) => request);
  }

  /** Rejects those that were called in a scope, each with an error of its own. Returns how many. */
  rejectScope(scope: ScopeRef, makeError: () => Error): number {
    let rejected = 0;
    // Whoever is settled has left the set.
    for (const waiter of this.#byScope.get(scope) ?? []) {
      waiter.reject(makeError());
      this.#hooks.onAborted();
      rejected++;
    }
    return rejected;
  }

  /** The one that came last of those called in a scope of which `counts` says so. */
  newestInScope(counts: (scope: ScopeRef) => boolean): Waiter<Request, Granted> | undefined {
    let newest: Waiter<Request, Granted> | undefined;
    for (const [scope, waiters] of this.#byScope) {
      if (!counts(scope)) continue;
      for (const waiter of waiters)
        if (newest === undefined || waiter.request.since >= newest.request.since) newest = waiter;
    }
    return newest;
  }

  /**
   * Rejects all that wait at the time of the call, each with an error of its own.
   * @param until whose deadline is no later is told that instead
   */
  rejectAll(makeError: (waiter: Waiter<Request, Granted>) => Error, until = -Infinity): void {
    // Counted first, so that what is queued by a listener meanwhile is not rejected with the rest.
    for (let left = this.#byTurn.size; left > 0; left--) {
      const waiter = dequeue<Request, Granted>(this.#byTurn);
      if (waiter === undefined || waiter.settled) continue;
      if (waiter.deadline <= until) this.#expire(waiter, 1);
      else waiter.reject(makeError(waiter));
    }
  }

  /** Stops the timer. Nobody may wait any more. */
  dispose(): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#timer = undefined;
    this.#timerDue = Infinity;
  }

  readonly #settled = (waiter: Waiter<Request, Granted>): void => {
    this.#live--;
    // Nothing keeps the process alive but a pending acquire. The timer itself is kept for the next one.
    if (this.#live === 0) this.#timer?.unref();
    const bound = 2 * this.#live + slack;
    if (this.#byTurn.size > bound) sweep<Request, Granted>(this.#byTurn, (live) => live.request.priority);
    this.#deadlines.settled(this.#live);
    const { scope } = waiter.request;
    if (scope !== undefined) this.#leave(waiter, scope);
  };

  readonly #aborted = (waiter: Waiter<Request, Granted>): void => {
    const signal = waiter.request.signal as AbortSignal;
    if (waiter.reject(new AbortError(signal))) this.#hooks.onAborted();
  };

  #enter(waiter: Waiter<Request, Granted>, own: ScopeRef): void {
    if (this.#marksScopes) {
      for (let scope: ScopeRef | undefined = own; scope !== undefined; scope = scope.parent) scope.waiting++;
    }
    const inScope = this.#byScope.get(own);
    if (inScope === undefined) this.#byScope.set(own, new Set([waiter]));
    else inScope.add(waiter);
  }

  #leave(waiter: Waiter<Request, Granted>, own: ScopeRef): void {
    if (this.#marksScopes) {
      for (let scope: ScopeRef | undefined = own; scope !== undefined; scope = scope.parent) scope.waiting--;
    }
    const inScope = this.#byScope.get(own);
    inScope?.delete(waiter);
    if (inScope?.size === 0) this.#byScope.delete(own);
  }

  #expire(waiter: Waiter<Request, Granted>, position: number | undefined): void {
    const { request } = waiter;
    const error = this.#errorFor(request, position, this.#clock.now() - waiter.deadline);
    if (waiter.reject(error)) this.#hooks.onTimeout(request, error);
  }

  /** Whatever happens, it must be rejected. */
  #errorFor(request: Request, position: number | undefined, lateBy: number): Error {
    try {
      return this.#hooks.timeoutError(request, position, lateBy);
    } catch (error) {
      return error as Error;
    }
  }

  #arm(due: number, now: number): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#timerDue = due;
    this.#timer = this.#clock.after(due - now, this.#tick);
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    this.#timerDue = Infinity;
    const now = this.#clock.now();
    const { items, next } = this.#deadlines.due(now);
    // Those without a deadline too: nothing but this timer keeps the process alive for them.
    if (this.#live > items.length) this.#arm(next, now);
    for (const waiter of items) if (!waiter.settled) this.#expire(waiter, this.#positionOf(waiter, items));
  };

  /** Its place among those that wait: in `late`, or not due yet. */
  #positionOf(waiter: Waiter<Request, Granted>, late: readonly Waiter<Request, Granted>[]): number | undefined {
    if (this.#live > longestCounted) return undefined;
    const isAhead = (other: Waiter<Request, Granted>): boolean => isBefore(other, waiter);
    const lateAhead = late.reduce((count, other) => (!other.settled && isAhead(other) ? count + 1 : count), 0);
    return 1 + lateAhead + this.#deadlines.count(isAhead);
  }
}

type InTurn = Pick<Waiter<QueueRequest, never>, 'request' | 'order'>;

/** Whether the turn of `one` comes before that of `other`. */
function isBefore(one: InTurn, other: InTurn): boolean {
  const ahead = one.request.priority - other.request.priority;
  return ahead > 0 || (ahead === 0 && one.order < other.order);
}

// `PriorityQueue` is typed for the tasks of a `PQueue`, yet only orders what it is given and never calls it.
type Element = Parameters<PriorityQueue['enqueue']>[0];

// Read by `enqueue` and not kept, so one serves all.
const options = { priority: 0 };

function enqueue(queue: PriorityQueue, waiter: object, priority: number): void {
  options.priority = priority;
  queue.enqueue(waiter as unknown as Element, options);
}

function dequeue<Request extends QueueRequest, Granted>(queue: PriorityQueue): Waiter<Request, Granted> | undefined {
  return queue.dequeue() as unknown as Waiter<Request, Granted> | undefined;
}

/** Drops the settled. Those that stay come out in order, so each goes back in at the tail. */
function sweep<Request extends QueueRequest, Granted>(
  queue: PriorityQueue,
  priorityOf: (waiter: Waiter<Request, Granted>) => number,
): void {
  const live: Waiter<Request, Granted>[] = [];
  for (let waiter = dequeue<Request, Granted>(queue); waiter !== undefined; waiter = dequeue<Request, Granted>(queue)) {
    if (!waiter.settled) live.push(waiter);
  }
  for (const waiter of live) enqueue(queue, waiter, priorityOf(waiter));
}
