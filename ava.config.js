import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** Those of programs, of servers that are stopped and killed, and what loads the whole machine for seconds: `npm run test:tools`. */
const tools = [
  'spec/{bench*,examples,soak}.spec.ts',
  'spec/{cli,coverage,examples,mutations,nodes,soak}/**/*.spec.ts',
  'spec/inspector/browser/**/*.spec.ts',
  'spec/{package,support-postgres}.spec.ts',
  'spec/postgres/{failover,life-*}.spec.ts',
];

export default {
  extensions: ['ts'],
  files: ['spec/**/*.spec.ts', ...tools.map((pattern) => `!${pattern}`)],
  timeout: '60s',
  // One more than there are processors: many files wait for other processes, or for the clock, most of the time.
  concurrency: availableParallelism() + 1,
  // Each file of specs is a thread of its own, and strips the types of the whole library: what one has compiled the others read.
  environmentVariables: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules', '.cache', 'compile') },
};
