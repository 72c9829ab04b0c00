import type { Surroundings } from './link.ts';

// Longer than a server takes that is there.
const patience = 10_000;

/** What of a browser the link needs. */
export const browser: Surroundings = {
  open(address, message, failure) {
    const source = new EventSource(address);
    source.addEventListener('report', (event) => message((event as MessageEvent<string>).data));
    source.addEventListener('error', () => failure(source.readyState === EventSource.CLOSED));
    return source;
  },
  get: (address) => fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(patience) }),
  after(delay, call) {
    const timer = setTimeout(call, delay);
    return () => clearTimeout(timer);
  },
};
