import type { Examination, Failure } from './examination.ts';
import { shellWord } from './names.ts';

/** Whether an error of SQLite says that the file is damaged, and not that it was in use or could not be had. */
export function isDamage({ code }: Failure): boolean {
  return code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB');
}

/** Whether anything was found after which the file is not to be made anew: what could still be saved would be lost with it. */
export function isDamaged(examination: Examination | undefined): boolean {
  if (examination === undefined) return false;
  const { failures, pages, integrity } = examination;
  const isUneven = pages !== undefined && (pages.sharedCount > 0 || pages.lost > 0);
  return isUneven || (integrity?.problems.length ?? 0) > 0 || failures.some(isDamage);
}

/** What to do with a file that is damaged: what is written next may be written over what could still be read. */
export function recovery(name: string): string[] {
  return [
    'Stop writing to it, and keep a copy of the file with what lies beside it.',
    `Go back to the last backup. Without one: \`sqlite3 ${shellWord(name)} .recover | sqlite3 recovered.db\` saves what can be read.`,
  ];
}
