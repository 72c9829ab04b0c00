/** Milliseconds between two looks. Node's timers are a millisecond late as a rule, and a look costs a microsecond. */
const interval = 2;

/**
 * Watches the event loop: how late the latest of a series of timers was. Whatever keeps the loop counts, the garbage
 * collector too.
 *
 * @returns a function that ends it and gives milliseconds
 */
export function watchStalls(): () => number {
  let worst = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    worst = Math.max(worst, now - last - interval);
    last = now;
  };
  const timer = setInterval(look, interval);
  return () => {
    clearInterval(timer);
    // The loop may be standing still up to here, and then no timer has told yet.
    look();
    return worst;
  };
}
