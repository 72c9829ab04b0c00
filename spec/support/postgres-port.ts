import { createServer } from 'node:net';

/**
 * A port that no socket is given by the operating system on Linux (32768 and above), on macOS and Windows (49152 and above):
 * it is still free when a server that was stopped is started.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    const probe = createServer();
    try {
      await new Promise<void>((resolve, reject) => {
        probe.once('error', reject).listen(port, '127.0.0.1', resolve);
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      continue;
    }
    await new Promise((resolve) => {
      probe.close(resolve);
    });
    return port;
  }
}
