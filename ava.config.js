import { join } from 'node:path';

/** Those of the programs beside the library: `npm run test:tools`. */
const tools = ['spec/bench*.spec.ts', 'spec/soak.spec.ts', 'spec/{coverage,mutations,nodes,soak}/**/*.spec.ts'];

export default {
  extensions: ['ts'],
  files: ['spec/**/*.spec.ts', ...tools.map((pattern) => `!${pattern}`)],
  timeout: '60s',
  // Each file of specs is a thread of its own, and strips the types of the whole library: what one has compiled the others read.
  environmentVariables: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules', '.cache', 'compile') },
};
