import { once } from 'node:events';
import { constants } from 'node:os';

// One Ctrl-C can arrive twice: npm passes on what the terminal has already sent to the whole process group.
const sameKeystroke = 500;

/** A signal that is aborted by the first Ctrl-C or SIGTERM. A second one ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let firstAt = 0;
  const stop = (name: 'SIGINT' | 'SIGTERM') => {
    if (!controller.signal.aborted) {
      firstAt = performance.now();
      controller.abort();
    } else if (performance.now() - firstAt > sameKeystroke) {
      process.exit(128 + constants.signals[name]);
    }
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller.signal;
}

/** Resolves once the program is asked to stop. */
export async function stopped(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
