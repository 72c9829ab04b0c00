import type { Clock } from '../clock.ts';
import { OpenError } from '../errors.ts';
import type { WaitRequest } from '../holder.ts';
import { endsOf, within } from '../pause.ts';
import { WriteTimeoutError } from '../transaction-errors.ts';
import type { ConnectionSettings } from './connection.ts';
import type { WriteLane } from './lane.ts';

export interface LaneFinderContext {
  readonly settings: Pick<ConnectionSettings, 'pool' | 'ends' | 'onRefused'>;
  readonly clock: Clock;
  /** The lane of the file as it was opened last. */
  readonly known: () => WriteLane | undefined;
  /** Opens the file. */
  readonly open: () => Promise<void>;
  /** Why it could not be opened at the last attempt. */
  readonly openError: () => unknown;
}

/** Finds the write lane of a pool. Which file it is, and so which lane, is known once it has been opened: that may make the file. */
export class LaneFinder {
  readonly #context: LaneFinderContext;
  /** The first opening, while it is under way. */
  #opening: Promise<void> | undefined;

  constructor(context: LaneFinderContext) {
    this.#context = context;
  }

  /** @throws WriteTimeoutError, OpenError, ClosedError, AbortError */
  find(request: WaitRequest): WriteLane | Promise<WriteLane> {
    const { known, open } = this.#context;
    const lane = known();
    if (lane !== undefined) return lane;
    this.#opening ??= open().finally(() => {
      this.#opening = undefined;
    });
    // Who has the lane by then and waits for the connection is told by that.
    this.#opening.catch(() => {});
    // Known by now, unless it could not be opened at once. So nobody who comes later gets in first.
    return known() ?? this.#opened(this.#opening, request);
  }

  async #opened(opening: Promise<void>, request: WaitRequest): Promise<WriteLane> {
    const { settings, clock, known } = this.#context;
    const left = request.since + request.timeout - clock.now();
    const interrupts = { signal: request.signal, ends: endsOf(request, settings.ends) };
    try {
      await within(opening, clock, left, () => this.#timeoutError(request), interrupts);
    } catch (error) {
      if (!(error instanceof OpenError)) settings.onRefused(error, request.label, clock.now() - request.since);
      throw error;
    }
    // Every connection of a pool that writes has one.
    return known() as WriteLane;
  }

  /** @throws WriteTimeoutError where the deadline has passed */
  refuseLate(request: WaitRequest): void {
    const { settings, clock } = this.#context;
    const waited = clock.now() - request.since;
    if (waited < request.timeout) return;
    const error = this.#timeoutError(request);
    settings.onRefused(error, request.label, waited);
    throw error;
  }

  #timeoutError({ label, timeout, since }: WaitRequest): WriteTimeoutError {
    const { settings, clock, known, openError } = this.#context;
    const lane = known();
    // Why the file could not be opened matters as long as that has never been done.
    const cause = lane === undefined ? openError() : undefined;
    const waiter = { timeout, label, position: undefined, lateBy: Math.max(0, clock.now() - since - timeout) };
    const state = { holder: lane?.holder?.describe(), waiting: lane?.waiting ?? 0 };
    return new WriteTimeoutError(settings.pool, waiter, state, cause === undefined ? undefined : { cause });
  }
}
