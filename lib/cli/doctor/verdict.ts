import { type Examination, lockedReason } from './examination.ts';
import type { Facts, Finding } from './finding.ts';

/** What a script is told: 0 where all is well, 1 with warnings, 3 with problems, 2 where that can not be said. */
export function exitCodeOf(findings: readonly Finding[], facts: Facts, strict: boolean): number {
  const { examination, state } = facts;
  const has = (wanted: Finding['state']) => findings.some((finding) => finding.state === wanted);
  if (!isDatabase(facts)) return 2;
  // Whatever could not be examined besides.
  if (has('problem')) return 3;
  const isExamined = examination === undefined ? state.content === 'empty' : isComplete(examination, facts);
  if (!isExamined) return 2;
  return has('warning') || (strict && has('note')) ? 1 : 0;
}

/** As far as can be told: one that is encrypted, or another kind of file, is not damaged because it can not be examined. */
function isDatabase({ state, surroundings, guess }: Facts): boolean {
  if (state.kind !== 'file' || state.content === undefined || surroundings?.readError !== undefined) return false;
  return state.content !== 'other' || guess === 'damaged';
}

/** Whether all was looked at that was asked for. What only the application can look at is told of, and not counted as missing. */
function isComplete(examination: Examination, asked: Pick<Facts, 'integrity' | 'keys'>): boolean {
  const { settings, failures, integrity, keys } = examination;
  if (settings === undefined || failures.length > 0) return false;
  if ((asked.integrity !== 'none' && integrity === undefined) || (asked.keys && keys === undefined)) return false;
  return [...(integrity?.skipped ?? []), ...(keys?.skipped ?? [])].every(({ reason }) => reason !== lockedReason);
}
