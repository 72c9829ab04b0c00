import type { Transform } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';

// Rows that are handed on before others get a turn.
const piece = 100;

/**
 * Writes rows to a stream, as fast as it takes them, and waits until they have been read there. Whoever reads may also
 * destroy it, and wants no more then.
 *
 * @param onRead called as soon as no row is to come any more
 */
export async function pour(rows: Iterable<unknown>, stream: Transform, onRead = (): void => {}): Promise<void> {
  try {
    await pipeline(pieces(rows, onRead), stream);
    await finished(stream, { writable: false });
  } catch (error) {
    if ((error as { code?: string } | undefined)?.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  } finally {
    // Where nothing has been read at all.
    onRead();
  }
}

async function* pieces(rows: Iterable<unknown>, onRead: () => void): AsyncGenerator {
  let count = 0;
  try {
    for (const row of rows) {
      yield row;
      if (++count % piece === 0) await setImmediate();
    }
  } finally {
    onRead();
  }
}
