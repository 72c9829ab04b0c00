import type { Cancellations } from './cancellations.ts';
import type { Clock } from './clock.ts';
import { AbortError } from './errors.ts';

/** What ends a wait before its time. */
export interface Interrupts {
  readonly signal: AbortSignal | undefined;
  readonly ends: readonly Cancellations[];
}

/** Resolves after `delay` ms; rejects as soon as it is interrupted. Keeps the process alive meanwhile. */
export async function pause(clock: Clock, delay: number, { signal, ends }: Interrupts): Promise<void> {
  if (signal?.aborted) throw new AbortError(signal);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = clock.after(delay, resolve);
  const abort = () => reject(new AbortError(signal as AbortSignal));
  signal?.addEventListener('abort', abort, { once: true });
  const withdrawals = ends.map((end) => end.enlist((makeError) => reject(makeError())));
  try {
    await promise;
  } finally {
    clock.cancel(timer);
    signal?.removeEventListener('abort', abort);
    for (const withdraw of withdrawals) withdraw();
  }
}
