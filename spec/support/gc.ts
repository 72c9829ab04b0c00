import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage, finalizers included, until `done` holds; whether it came to that within `rounds`. */
export async function collected(done: () => boolean, rounds = 400): Promise<boolean> {
  for (let round = 0; round < rounds; round++) {
    // What `done` looked at through a WeakRef is kept alive until the end of its job.
    await nextJob();
    collect();
    await nextJob();
    if (done()) return true;
  }
  return false;
}

function nextJob(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}
