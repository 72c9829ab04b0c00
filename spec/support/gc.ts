import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage, finalizers included, until `done` holds; whether it came to that within `rounds`. */
export async function collected(done: () => boolean, rounds = 20): Promise<boolean> {
  for (let round = 0; round < rounds && !done(); round++) {
    collect();
    // WeakRefs are held until the end of the job, and finalizers run in one of their own.
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
  return done();
}
