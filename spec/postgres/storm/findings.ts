import { isError, textOf } from '../../../lib/errors.ts';

const shown = 10;

/** What did not hold, and which errors there were, by their codes. */
export class Findings {
  readonly violations: string[] = [];
  readonly errors = new Map<string, number>();
  #violated = 0;

  get count(): number {
    return this.#violated;
  }

  violate(account: string): void {
    this.#violated++;
    if (this.violations.length < shown) this.violations.push(account);
  }

  /** Whatever goes wrong has a code by which a program can tell what it is. */
  note(error: unknown, during: string): void {
    const code = isError(error) ? textOf(error, 'code') : undefined;
    if (code === undefined || !isKnown(code)) {
      this.violate(`${during}: an error without a code of ours, of the server or of Node: ${describe(error)}`);
    }
    const name = code ?? 'none';
    this.errors.set(name, (this.errors.get(name) ?? 0) + 1);
  }

  /** The codes, the most frequent first. */
  summary(): string {
    const entries = [...this.errors].toSorted(([, a], [, b]) => b - a);
    return entries.map(([code, count]) => `${code} ${count}`).join(', ') || 'none';
  }
}

function isKnown(code: string): boolean {
  // EPIPE would pass for a SQLSTATE, which has a digit in it.
  return code.startsWith('ERR_LEASEHOLD_') || code === 'ABORT_ERR' || /^(?=.*\d)[\dA-Z]{5}$/.test(code);
}

function describe(error: unknown): string {
  return isError(error) ? (error.stack ?? error.message) : String(error);
}
