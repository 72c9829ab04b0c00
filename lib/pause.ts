import { Cancellations } from './cancellations.ts';
import type { Clock } from './clock.ts';
import { AbortError } from './errors.ts';
import type { ScopeRef } from './holder.ts';

/** What ends a wait before its time. */
export interface Interrupts {
  readonly signal: AbortSignal | undefined;
  readonly ends: readonly Cancellations[];
}

/** Resolves after `delay` ms; rejects as soon as it is interrupted. Keeps the process alive meanwhile. */
export async function pause(clock: Clock, delay: number, interrupts: Interrupts): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(delay, resolve);
  try {
    await interruptible(promise, interrupts);
  } finally {
    clock.cancel(timer);
  }
}

/** Waits for `promise`, `delay` ms at most, unless it is interrupted. */
export async function within(
  promise: Promise<void>,
  clock: Clock,
  delay: number,
  timeoutError: () => Error,
  interrupts: Interrupts,
): Promise<void> {
  // Before anything is made that nobody would listen to.
  if (interrupts.signal?.aborted) throw new AbortError(interrupts.signal);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = delay === Infinity ? undefined : clock.after(delay, () => reject(timeoutError()));
  try {
    await interruptible(Promise.race([promise, late]), interrupts);
  } finally {
    if (timer !== undefined) clock.cancel(timer);
  }
}

/** Waits for `promise`, unless it is interrupted. What it comes to after that is nobody's concern. */
export async function interruptible<Value>(promise: PromiseLike<Value>, { signal, ends }: Interrupts): Promise<Value> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new AbortError(signal as AbortSignal));
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  const withdrawals: (() => void)[] = [];
  const withdraw = (): void => {
    for (const each of withdrawals) each();
  };
  // At once from all of them, so that none counts what another has ended.
  const cancel = (makeError: () => Error): void => {
    withdraw();
    reject(makeError());
  };
  for (const end of ends) withdrawals.push(end.enlist(cancel));
  try {
    return await Promise.race([promise, interrupted]);
  } finally {
    signal?.removeEventListener('abort', abort);
    withdraw();
  }
}

/** What a wait ends with: the scope it is in, too. */
export function endsOf(
  { scope }: { readonly scope: ScopeRef | undefined },
  ...ends: Cancellations[]
): readonly Cancellations[] {
  if (scope === undefined) return ends;
  scope.ends ??= new Cancellations();
  return [...ends, scope.ends];
}
