import { formatBytes } from '../../../wording.ts';
import type { FileState, WalIndex, WalState } from '../../outside/file-state.ts';
import type { LogContent } from '../../outside/wal.ts';
import type { Facts, Finding, LeftLog } from '../finding.ts';
import { countOf, number, percent } from '../wording.ts';
import { strandedFindings } from './stranded.ts';

// What SQLite copies into the file at once, unless it is told otherwise: in pages.
const autoCheckpoint = 1000;
// A log is some of these before anybody has to wonder.
const patience = 4;

/** How it is written, and what lies beside it. */
export function journalFindings(facts: Facts): Finding[] {
  if (facts.state.header === undefined && facts.state.content !== 'empty') return [];
  const isReplaced = facts.patience.stranded.some(({ how }) => how === 'other file');
  return [
    ...mode(facts),
    ...strandedFindings(facts),
    // Of the former file.
    ...(isReplaced ? [] : log(facts)),
    ...left(facts),
    ...stray(facts),
    ...journal(facts),
  ];
}

function mode({ state: { header }, surroundings }: Facts): Finding[] {
  const base = { id: 'journal.mode', group: 'Journal', title: 'Journal mode' } as const;
  if (header === undefined) return [];
  const system = surroundings?.fileSystem;
  // Where the memory that is the index of a WAL may not be shared by all who use the file.
  const isShared = system?.kind === 'network' || system?.kind === 'shared';
  if (header.journal === 'wal' && isShared) {
    return [
      {
        ...base,
        state: 'warning',
        found: `WAL, on a file system of others (${system.name}).`,
        why: 'The index of a WAL is memory that two machines can not share: users on two of them damage the file.',
        advice: [
          "Move it to a local disk, or else leave WAL mode: `pragmas: { journal_mode: 'DELETE' }` for each pool, and `PRAGMA journal_mode = DELETE` once while nobody else has the file open.",
        ],
      },
    ];
  }
  if (header.journal === 'wal') return [{ ...base, state: 'ok', found: 'WAL: reads go on while somebody writes' }];
  if (header.journal === 'unknown') {
    return [
      {
        ...base,
        state: 'problem',
        found: 'The header has a version of the format that this SQLite does not know.',
        advice: ['Open it with the program that made it.'],
      },
    ];
  }
  if (isShared)
    return [{ ...base, state: 'ok', found: `a rollback journal, as is right on this file system (${system.name})` }];
  return [
    {
      ...base,
      state: 'warning',
      found: 'A rollback journal, no WAL.',
      why: 'A commit waits until nobody reads, and nobody reads while it is written: a pool has little of its connections.',
      advice: [
        'Let a pool set it (it does so unless its `pragmas` say otherwise), or `PRAGMA journal_mode = WAL` once while nobody else has the file open.',
      ],
    },
  ];
}

function log(facts: Facts): Finding[] {
  const { state } = facts;
  const { wal, index, header, size = 0 } = state;
  if (wal === undefined || header?.journal !== 'wal') return [];
  const base = { id: 'journal.wal', group: 'Journal', title: 'Write-ahead log' } as const;
  const isUsed = (state.locks?.users.length ?? 0) > 0;
  if (state.locks !== undefined && !isUsed) return [leftover(facts, wal)];
  const pending = index?.valid === true ? index.frames - index.backfilled : contentOf(facts.log)?.committed;
  const told = `${formatBytes(wal.bytes)}${size > 0 ? ` (${percent(wal.bytes / size)} of the file)` : ''}, ${
    pending === undefined ? unknownPending(state) : `${countOf(pending, 'page')} of it not yet in the file`
  }`;
  if (pending !== undefined && pending > patience * autoCheckpoint) {
    return [
      {
        ...base,
        state: 'warning',
        found: told,
        why: `It is copied into the file every ${number(autoCheckpoint)} pages if nobody reads an older state: the longer it is, the slower each read.`,
        advice: [
          'End the transactions and iterators that read for long (see Readers), and write in smaller transactions.',
          "Then `await pool.checkpoint('truncate')`, or `PRAGMA wal_checkpoint(TRUNCATE)`.",
        ],
      },
    ];
  }
  const frameSize = header.pageSize + 24;
  if (wal.bytes > patience * autoCheckpoint * frameSize && wal.bytes > size / 2) {
    return [
      {
        ...base,
        state: 'note',
        found: told,
        why: 'Once it was that long; it is used again from its start, but never shortened.',
        advice: [
          "`await pool.checkpoint('truncate')` gives the room back; `PRAGMA journal_size_limit` keeps it short.",
        ],
      },
    ];
  }
  return [{ ...base, state: 'ok', found: told }];
}

function unknownPending({ index, locks }: FileState): string {
  if (locks?.exclusive === undefined || index !== undefined) return 'its index can not be read';
  return 'held exclusively: its index is in the memory of the process that has it';
}

function leftover(facts: Facts, wal: WalState): Finding {
  const { name, state } = facts;
  const content = contentOf(facts.log);
  const base = { id: 'journal.leftover', group: 'Journal', state: 'note', title: 'Log left behind' } as const;
  const bytes = formatBytes(wal.bytes);
  if (facts.log === 'changing') {
    return {
      ...base,
      found: `${bytes} that changed while it was looked at: somebody uses it who was not seen.`,
      why: 'What it holds can not be told while it is written to.',
      advice: [`Do not delete "${name}-wal". ${state.isConfined ? runOutside : 'Try again.'}`],
    };
  }
  if (content === undefined) {
    return {
      ...base,
      found: `${bytes} of which nothing could be read; ${nobody}.`,
      why: 'Part of the data may be in it alone: a copy of the file without it may be of an older state.',
      advice: [`Do not delete "${name}-wal". Run this as the user whose process uses the file.`],
    };
  }
  const { committed, isWhole, lost, hasBadHead } = content;
  const known = indexOf(facts, wal);
  // Behind what was written since may be frames that were lost once before, which nobody misses any more.
  const wasLost = lost > 0 && known !== undefined && known.frames <= committed;
  if (hasBadHead || (lost > 0 && !wasLost)) {
    return { ...base, state: state.isConfined ? 'warning' : 'problem', ...damagedLog(facts, bytes, content) };
  }
  if (committed === 0 && isWhole) {
    return {
      ...base,
      found: `${bytes}, and nothing in it that the file has not; ${nobody}.`,
      why: 'The last to close the file could not remove it: it only read, or it was ended.',
      advice: ['Nothing: the next process that writes and closes the file removes it.'],
    };
  }
  const told = `${bytes} with ${isWhole ? '' : 'at least '}${countOf(committed, 'page')} of committed transactions${isWhole ? '' : ', of which only the beginning was looked at'}`;
  if (wasLost) {
    return {
      ...base,
      found: `${told}, and ${countOf(lost, 'page')} after those that its index does not count; ${nobody}.`,
      why: 'As a rule they were lost once before, when somebody was ended who wrote, and nobody misses them. They are lost now if the index (-shm) is an older one that was put there.',
      advice: [`Do not delete "${name}-wal", and keep a copy of "${name}", "${name}-wal" and "${name}-shm".`],
    };
  }
  if (isWhole && known !== undefined && known.backfilled >= committed) {
    return {
      ...base,
      found: `${told}, all of which are in the file as well, as its index says; ${nobody}.`,
      why: 'The last to have the file open was ended before it could remove it.',
      advice: [`${unlessReplaced(name)}, nothing: the next process that writes and closes the file removes the log.`],
    };
  }
  return {
    ...base,
    found: `${told}; ${nobody}.`,
    why:
      known === undefined
        ? 'Part of the data may be in it alone: a copy of the file without it may be of an older state.'
        : 'Part of the data is in it alone: a copy of the file without it would be of an older state.',
    advice: [
      `Do not delete "${name}-wal": copy both files together first.`,
      `${unlessReplaced(name)}: open and close the database once.`,
    ],
  };
}

const nobody = 'no process that can be seen has the file open';

const runOutside = 'Run this on the machine itself, or in the container of the process that uses the file.';

function contentOf(found: LeftLog | undefined): LogContent | undefined {
  return typeof found === 'object' ? found : undefined;
}

/** Who writes to the log writes to its index, too, which is memory: one that is older than the machine has been up may be an older state. */
function indexOf({ state: { index }, surroundings }: Facts, wal: WalState): WalIndex | undefined {
  const isOfLog = index?.valid === true && index.salt === wal.salt;
  return isOfLog && surroundings !== undefined && wal.modified > surroundings.booted ? index : undefined;
}

/** SQLite would take the log of the former file for that of the new one, and write its pages into it. */
function unlessReplaced(name: string): string {
  return `If the file was put there from elsewhere since then (copied, or moved over it), move "${name}-wal" and "${name}-shm" away before anybody opens it. If not`;
}

function damagedLog(
  { name, state: { isConfined } }: Facts,
  bytes: string,
  { committed, lost, hasBadHead }: LogContent,
): Required<Pick<Finding, 'found' | 'why' | 'advice'>> {
  const pages = countOf(lost, 'page');
  return {
    found: hasBadHead
      ? `${bytes} whose head is damaged${lost > 0 ? `, with ${pages} of committed transactions` : ''}: SQLite will read none of it; ${nobody}.`
      : `${bytes} with a damaged page: of its committed transactions SQLite will read ${countOf(committed, 'page')}, and not the ${pages} after that; ${nobody}.`,
    why: 'Something other than SQLite has written to it, or the machine went down before all of it was on the disk. Whoever opens the database goes on without these transactions, and removes or overwrites them.',
    advice: [
      ...(isConfined ? [`Unless somebody outside of this container writes to it now. ${runOutside}`] : []),
      `Do not open it: copy "${name}" and "${name}-wal" first.`,
      'Go back to the last backup if those transactions are in it; else use what SQLite reads of a copy of both, which is what is whole.',
    ],
  };
}

function left(facts: Facts): Finding[] {
  const { name } = facts;
  const content = contentOf(facts.left);
  if (content === undefined) return [];
  return [
    {
      id: 'journal.left',
      group: 'Journal',
      state: 'note',
      title: 'Log left behind',
      found: `The last program that had the file open closed it while this read it, so "${name}-wal" is still there, with ${content.isWhole ? '' : 'at least '}${countOf(content.committed, 'page')} of committed transactions.`,
      why: 'Who only reads can not remove it. A copy of the file without it may be of an older state.',
      advice: ['Nothing, unless the file is copied now: the next program that writes and closes it removes the log.'],
    },
  ];
}

/** What belongs to another mode, or to another file. */
function stray({ name, state }: Facts): Finding[] {
  const { wal, index, header, strangers } = state;
  const base = { group: 'Journal', title: 'Stray files' } as const;
  const found: Finding[] = strangers.map((suffix) => ({
    ...base,
    id: 'journal.stranger',
    state: 'problem',
    found: `"${name}${suffix}" is no file.`,
    why: 'SQLite takes what has this name for a part of the database: who opens that gets an error, or waits for ever.',
    advice: [`Find out what has put it there, and move it away.`],
  }));
  if (wal !== undefined && wal.frames > 0 && header?.journal === 'rollback') {
    found.push({
      ...base,
      id: 'journal.stray-wal',
      state: 'warning',
      found: `There is a write-ahead log beside a file that is in no WAL mode, with ${countOf(wal.frames, 'page')}.`,
      why: 'SQLite would take it for a part of this file. Likely the file was replaced, and the log belongs to the former.',
      advice: [`If the file was put there from elsewhere: move "${name}-wal" away before anybody opens it.`],
    });
  } else if (wal?.pageSize !== undefined && header !== undefined && wal.pageSize !== header.pageSize) {
    found.push({
      ...base,
      id: 'journal.stray-wal',
      state: 'warning',
      found: `The log has pages of ${wal.pageSize} bytes, the file of ${header.pageSize}.`,
      why: 'They are not of one database: the file was replaced, or the log.',
      advice: [`Find out which of the two is the right one before anybody opens it; keep a copy of "${name}-wal".`],
    });
  }
  const isUsed = (state.locks?.users.length ?? 0) > 0;
  if (index !== undefined && wal === undefined && state.locks !== undefined && !isUsed && !state.isConfined) {
    found.push({
      ...base,
      id: 'journal.stray-shm',
      state: 'note',
      found: 'There is an index of a log (-shm), and no log.',
      why: 'It is harmless: it is made anew by the next process that opens the file.',
    });
  }
  return found;
}

function journal({ name, state: { journal: found, locks, isConfined } }: Facts): Finding[] {
  if (found === undefined) return [];
  const base = { id: 'journal.rollback', group: 'Journal', title: 'Rollback journal' } as const;
  const bytes = formatBytes(found.bytes);
  // Its head is written last, when the transaction commits or its changes have no room in memory any more.
  if (locks?.writer !== undefined) {
    return [{ ...base, state: 'ok', found: `${bytes}, of the transaction that writes now` }];
  }
  if (!found.hasHead) {
    return [{ ...base, state: 'ok', found: `${bytes}, of a transaction that has ended` }];
  }
  return [
    {
      ...base,
      state: 'warning',
      found: `${bytes} of a transaction that was cut off${locks === undefined || isConfined ? ', unless somebody writes now' : ''}.`,
      why: 'Whoever wrote was ended in the middle. The file alone is half of the old state and half of the new one.',
      advice: [
        `Do not delete "${name}-journal", and do not copy the file without it.`,
        'Open the database with a process that may write to it: that restores the state before the transaction.',
      ],
    },
  ];
}
