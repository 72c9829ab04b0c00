import { LeaseholdError, OptionsError } from '../../../lib/index.ts';

/** The command line asks for something that does not exist. */
export class UsageError extends Error {}

/** The program cannot do what it was asked for, for a reason its user can do something about. */
export class DemoError extends Error {}

/** The last word on a failure: one line where its user can act on it, and a stack only where it is a bug. */
export function complain(error: unknown): void {
  if (isAbort(error)) return; // Ctrl-C during the first fill: nothing is wrong.
  const wrongUsage = error instanceof UsageError || error instanceof OptionsError;
  process.exitCode = wrongUsage ? 2 : 1;
  if (wrongUsage || isExpected(error)) console.error(`leasehold-demo: ${(error as Error).message}`);
  else console.error(error);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** Whatever has a code comes from outside: from Leasehold, SQLite (`SqliteError`) or the system (`EADDRINUSE`). */
function isExpected(error: unknown): boolean {
  return (
    error instanceof DemoError || error instanceof LeaseholdError || (error instanceof Error && hasSystemCode(error))
  );
}

function hasSystemCode(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && !error.code.startsWith('ERR_');
}
