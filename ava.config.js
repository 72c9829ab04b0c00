import { join } from 'node:path';

export default {
  extensions: ['ts'],
  files: ['spec/**/*.spec.ts'],
  timeout: '60s',
  // Each file of specs is a thread of its own, and strips the types of the whole library: what one has compiled the others read.
  environmentVariables: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules', '.cache', 'compile') },
};
