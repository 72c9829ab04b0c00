import { type AcquireMessage, acquires, type PoolMessage } from '../channels.ts';
import { Lease } from '../lease.ts';
import type { WaiterRequest } from '../waiters.ts';
import type { SlotLease } from './slot.ts';

/** Makes a lease by `take`, and publishes how it came to it. */
export function traceAcquire<Connection extends object, Handle extends object>(
  pool: PoolMessage,
  { label, scope, since }: Pick<WaiterRequest, 'label' | 'scope' | 'since'>,
  take: () => unknown,
): Promise<SlotLease<Connection, Handle>> {
  const message: AcquireMessage = { ...pool, label, scope: scope?.id };
  return acquires.trace(message, async () => {
    const taken = take();
    const lease = (taken instanceof Lease ? taken : await taken) as SlotLease<Connection, Handle>;
    message.waited = taken === lease ? 0 : lease.startedAt - since;
    message.lease = lease.id;
    message.connection = lease.slot.id;
    return lease;
  });
}
