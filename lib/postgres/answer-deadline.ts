import type { Clock, Timer } from '../clock.ts';

// Later than timers are in a process that has merely much to do. In ms.
const stillness = 50;

/**
 * Calls `giveUp` where the server has not answered within `limit` ms.
 *
 * After a process has stood still, because its event loop was blocked or the machine slept, Node runs timers before it reads sockets:
 * the answer may be there for long. So where the deadline is told late, the answer gets as much time again, at most `limit`, once.
 *
 * @returns what is to be called when the answer has come
 */
export function awaitAnswer(clock: Clock, limit: number, giveUp: () => void): () => void {
  if (limit === Infinity) return () => {};
  const due = clock.now() + limit;
  let timer: Timer = clock.after(limit, () => {
    const late = clock.now() - due;
    if (late < stillness) giveUp();
    else timer = clock.after(Math.min(late, limit), giveUp);
  });
  return () => clock.cancel(timer);
}
