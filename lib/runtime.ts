import { RuntimeError } from './errors.ts';

// Imported first by the barrel, so that an old Node gets a sentence. better-sqlite3 13 on Node 20
// ends the process with a segmentation fault and no message.
const oldestMajor = 22;
if (Number.parseInt(process.versions.node, 10) < oldestMajor) {
  throw new RuntimeError(process.version, String(oldestMajor));
}
