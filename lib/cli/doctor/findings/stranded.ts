import type { Stranded } from '../../outside/file-state.ts';
import type { Facts, Finding } from '../finding.ts';
import { listed } from '../names.ts';
import { processName } from '../wording.ts';

type Told = Omit<Finding, 'group' | 'title'>;

/** Whoever uses the file without the log beside it writes what others do not see, or what does not fit to theirs. */
export function strandedFindings(facts: Facts): Finding[] {
  const { stranded } = facts.patience;
  return ways.flatMap(([how, tell]) => {
    const ones = stranded.filter((one) => one.how === how);
    if (ones.length === 0) return [];
    const who = listed(ones.map(({ pid }) => processName(facts.state, pid)));
    return [{ group: 'Journal', title: 'Write-ahead log', ...tell(facts, who, ones) }];
  });
}

const ways: readonly (readonly [Stranded['how'], (facts: Facts, who: string, ones: readonly Stranded[]) => Told])[] = [
  ['other file', otherFile],
  ['no log', noLog],
  ['no index', noIndex],
  ['unseen', unseen],
  ['other log', otherLog],
];

const backup = 'a backup from within them, to another file: `db.backup()` or `VACUUM INTO`';

function otherFile({ name, state: { locks } }: Facts, who: string, ones: readonly Stranded[]): Told {
  const hasOthers = locks?.users.some((user) => !ones.some(({ pid }) => pid === user)) === true;
  return {
    id: 'journal.replaced',
    state: 'problem',
    found: `The file was replaced while it was open: "${name}-wal" is the log of the former one, which ${who} still ${ones.length > 1 ? 'use' : 'uses'}.`,
    why: 'SQLite takes a log of this name for that of this file: who opens it reads or writes pages of the former one as if they were its own.',
    advice: [
      `Do not open it. If what the former one holds is wanted, make ${backup}.`,
      ...(hasOthers
        ? [
            'Others have this file open already, and what they committed is in the same log: make a backup from one of them, too.',
          ]
        : []),
      `Then end these processes, move "${name}-wal" and "${name}-shm" away before anybody opens the file, and replace it only while nobody has it open.`,
    ],
  };
}

function noLog({ name, state: { wal } }: Facts, who: string): Told {
  const isTaken = wal !== undefined;
  return {
    id: 'journal.lost-log',
    state: 'problem',
    found: `The log is not where its users have it: it was deleted while ${who} had it open${isTaken ? ', and another one has taken its place' : ''}.`,
    why: isTaken
      ? 'What was committed since is in two logs: nobody sees what is in both, and what is copied from them into the file may not fit together.'
      : 'What was committed since may be in that log alone: nobody else can read it, and it is gone when they are killed. The last of them to close the file in the ordinary way copies it into that.',
    advice: [
      `Do not end these processes yet. Make ${backup}.`,
      ...(isTaken
        ? ['What was committed to the other log is not in that backup: make one from a process that uses that, too.']
        : []),
      `Before a backup takes the place of the file, end every process that has it open, and move "${name}" and what is there of "${name}-wal", "${name}-shm" and "${name}-journal" away.`,
      'Find out who deleted the log.',
    ],
  };
}

function noIndex({ state: { index } }: Facts, who: string): Told {
  const isTaken = index !== undefined;
  return {
    id: 'journal.lost-index',
    state: 'problem',
    found: `The index of the log (-shm) was deleted while ${who} had it open${isTaken ? ', and another one has taken its place' : ''}.`,
    why: `The log is still there. ${isTaken ? 'Who uses the other index' : 'Who opens the file now makes another index, and'} does not see what these processes write: they may write over each other in the log.`,
    advice: [
      `Open it in no other process. Make ${backup}${isTaken ? ', and one from a process that uses the other index' : ''}.`,
      'Then have all of them close the file; the next one that opens it makes the index anew. Find out who deleted it.',
    ],
  };
}

function unseen(_facts: Facts, who: string): Told {
  return {
    id: 'journal.lost-log',
    state: 'warning',
    found: `There is no log beside the file, and ${who} may have one: what it has open may not be looked at.`,
    why: 'If the log was deleted while it was open, what was committed since is in that alone, which is gone when its user is killed.',
    advice: ['Do not end it yet. Run this as root, or as the user whose process it is, to see whether it has a log.'],
  };
}

function otherLog(_facts: Facts, who: string, ones: readonly Stranded[]): Told {
  const logs = [...new Set(ones.map(({ log }) => log).filter((log) => log !== undefined))];
  const where = logs.length === 0 ? 'beside another name' : listed(logs.map((log) => `"${log}"`));
  return {
    id: 'journal.other-name',
    state: 'warning',
    found: `The log of ${who} is ${where}: the file has two names, or was renamed while it was open.`,
    why: 'Who opens it by another name does not see what is in that log, and makes one beside that name: two logs damage the file.',
    advice: [
      'Open it by no other name until these processes have closed it, which copies their log into it; and copy it from within them alone.',
      'Then use one name for it: no second link to the file, and for a container the directory that it is in, not the file alone.',
    ],
  };
}
