import { formatBytes } from '../../wording.ts';
import type { FileState } from '../outside/file-state.ts';
import type { Plan } from './finding.ts';

/** Up to here a file without a WAL is examined before anybody's patience with a lock ends. */
const smallFile = 16_000_000;
/** A copy of more than this is not what somebody expects who asks for a quick look. */
const quickCopy = 1_000_000_000;

/**
 * Where SQLite can be asked without leaving a trace. To read a database in WAL mode it makes the log and its index beside the file
 * where they are not, and one that only reads does not take them away; to read one with a journal of a transaction that was cut off
 * it would have to restore it.
 */
export function planOf(state: FileState, options: { readonly inPlace: boolean; readonly quick: boolean }): Plan {
  const counted = options.quick ? '' : ', and one in which all pages are counted';
  const { kind, content, header, size = 0, wal, index, journal, strangers, locks, stranded } = state;
  if (kind !== 'file' || content !== 'database' || header === undefined) {
    return { where: 'nowhere', reason: 'There is nothing that SQLite could read.' };
  }
  if (strangers.length > 0) {
    return {
      where: 'nowhere',
      reason: 'SQLite would open what lies beside it and is no file, and might wait for ever.',
    };
  }
  if (stranded.some(({ how }) => how === 'other file')) {
    return { where: 'nowhere', reason: 'SQLite would take the log of the former file for that of this one.' };
  }
  if (header.journal !== 'rollback' || wal !== undefined) {
    // Elsewhere than on Linux nobody tells who is connected. There the index of a log is what its users leave while they are.
    const isConnected = wal !== undefined && index !== undefined && (locks === undefined || locks.users.length > 0);
    if (isConnected && locks?.exclusive === undefined) {
      return {
        where: 'in place',
        needsLog: true,
        reason: `in place, as one more reader: a transaction for each table${counted}, while which the log is not copied past it`,
      };
    }
    return copyUnless(options.quick && size > quickCopy, whyNotThere(state));
  }
  if (journal?.hasHead === true && journal.isHot !== false) {
    return copyUnless(options.quick && size > quickCopy, 'SQLite has to restore it before it can be read');
  }
  if (size <= smallFile || options.quick || options.inPlace) {
    return {
      where: 'in place',
      reason: `in place: commits of others wait while a table is looked at${options.quick ? '' : ', or all pages are counted'}`,
    };
  }
  return {
    where: 'copy',
    reason: `in a copy: in place commits of others would wait for as long as it takes to look at a table of its ${formatBytes(size)}`,
  };
}

function copyUnless(isTooLarge: boolean, reason: string): Plan {
  if (!isTooLarge) return { where: 'copy', reason: `in a copy: ${reason}` };
  return {
    where: 'nowhere',
    reason: `It would have to be copied (${reason}), which is nothing for a quick look: leave out --quick to have that done.`,
  };
}

/** Why it can not be read where it is: there is no log, or no index of it, that is shared with others. */
function whyNotThere({ wal, processes = [], hiddenProcesses = 0, locks, stranded, isConfined }: FileState): string {
  if (locks?.exclusive !== undefined) return 'a process holds it exclusively, and lets nobody else read it';
  const what = wal === undefined ? 'log' : 'index of the log';
  if (stranded.length > 0)
    return `the ${what} is not where its users have it, and to read it SQLite would make another`;
  if ((locks?.users.length ?? 0) > 0) return `there is no ${what} at present, and to read it SQLite would make one`;
  const nobody =
    isConfined || hiddenProcesses > 0 ? 'no process that can be seen from here has it open' : 'nobody has it open';
  const who = processes.length > 0 ? 'who has it open does not use it at present' : nobody;
  const restriction = locks === undefined ? ' as far as can be told' : '';
  return `${who}${restriction}, and to read it SQLite would make files beside it`;
}
