import type { Clock } from '../../lib/clock.ts';
import type { TransactionRequest } from '../../lib/level.ts';
import type { WaiterRequest } from '../../lib/waiters.ts';

// What is asked for by one who wants nothing in particular, from now on, but for what is given.

const common = { label: undefined, signal: undefined, priority: 0, scope: undefined, site: undefined };

export function waiterRequest(clock: Clock, given: Partial<WaiterRequest> = {}): WaiterRequest {
  const since = clock.now();
  return { ...common, since, timeout: 1000, holder: undefined, askedAt: undefined, wants: 'lease', ...given };
}

export function transactionRequest(clock: Clock, given: Partial<TransactionRequest> = {}): TransactionRequest {
  const since = clock.now();
  return { ...common, since, timeout: 100, nesting: 'savepoint', mode: 'immediate', readOnly: false, ...given };
}
