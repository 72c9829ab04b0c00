import { type Clock, systemClock } from '../clock.ts';
import type { Monitor } from './monitor.ts';

// Who may look is asked again with the next stream. A browser asks for that by itself.
const longestStream = 300_000;
/** Milliseconds after which a reader shall come back whose stream has ended. */
const comeBackAfter = 1000;

const encoder = new TextEncoder();

const endings = new WeakMap<ReadableStream, AbortSignal>();

/** Aborted when a stream of events comes to its end. Who does not read it is not told of that by the stream. */
export function endingOf(stream: ReadableStream): AbortSignal | undefined {
  return endings.get(stream);
}

/**
 * Server-sent events: a complete report, then one after each tick, until all is over, the reader is gone, or five minutes have
 * passed. A reader that is slow is told less often, of all that has happened meanwhile: nothing is kept for it.
 */
export function eventStream(
  monitor: Monitor,
  onEnd: () => void,
  clock: Clock = systemClock,
): ReadableStream<Uint8Array> {
  let last = 0;
  /** Gives back what it took. Set until it has ended. */
  let release: (() => void) | undefined;
  const ending = new AbortController();
  // What was closed may be cancelled still, as long as something in it has not been read.
  const end = (): void => {
    release?.();
    release = undefined;
  };
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const close = (): void => {
        end();
        controller.close();
        ending.abort();
      };
      const send = (after?: number): void => {
        const report = monitor.report(after);
        last = monitor.number;
        controller.enqueue(encoder.encode(`event: report\nid: ${last}\ndata: ${report}\n\n`));
      };
      const unsubscribe = monitor.subscribe(() => {
        // Of the end even a slow reader is told.
        if (monitor.isOver || (controller.desiredSize ?? 0) > 0) send(last);
        if (monitor.isOver) close();
      });
      const timer = clock.after(longestStream, close);
      timer.unref();
      release = () => {
        unsubscribe();
        clock.cancel(timer);
        onEnd();
      };
      controller.enqueue(encoder.encode(`retry: ${comeBackAfter}\n\n`));
      send();
    },
    cancel: end,
  });
  endings.set(stream, ending.signal);
  return stream;
}
