import { type Examination, lockedReason } from './examination.ts';
import type { Facts, Finding } from './finding.ts';

/** What a script is told: 0 where all is well, 1 with warnings, 3 with problems, 2 where that can not be said. */
export function exitCodeOf(findings: readonly Finding[], facts: Facts, strict: boolean): number {
  const { examination, state } = facts;
  const has = (wanted: Finding['state']) => findings.some((finding) => finding.state === wanted);
  // Damage that keeps SQLite from reading anything is a problem all the same.
  const isDamaged = examination !== undefined && has('problem');
  const isExamined = examination?.settings !== undefined || isDamaged || state.content === 'empty';
  if (!isExamined) return 2;
  if (has('problem')) return 3;
  if (examination !== undefined && !isComplete(examination, facts)) return 2;
  return has('warning') || (strict && has('note')) ? 1 : 0;
}

/** Whether all was looked at that was asked for. What only the application can look at is told of, and not counted as missing. */
function isComplete(examination: Examination, asked: Pick<Facts, 'integrity' | 'keys'>): boolean {
  const { failures, integrity, keys } = examination;
  if (failures.length > 0) return false;
  if ((asked.integrity !== 'none' && integrity === undefined) || (asked.keys && keys === undefined)) return false;
  return [...(integrity?.skipped ?? []), ...(keys?.skipped ?? [])].every(({ reason }) => reason !== lockedReason);
}
