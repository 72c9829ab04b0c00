#!/usr/bin/env node
// Nothing is imported before it is known that this Node can run it: what else there is may not even parse on an old one.
try {
  await import('./runtime.ts');
} catch (error) {
  console.error(`leasehold: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
const { start } = await import('./cli/process.ts');
await start();
