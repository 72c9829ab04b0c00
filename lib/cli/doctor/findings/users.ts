import { formatDuration } from '../../../wording.ts';
import type { FileState } from '../../outside/file-state.ts';
import type { Facts, Finding } from '../finding.ts';
import { listed, shellWord } from '../names.ts';
import { countOf, processName } from '../wording.ts';

/** Who has it open, who writes, who reads for long. */
export function userFindings(facts: Facts): Finding[] {
  if (facts.state.kind !== 'file' || facts.state.content === 'other') return [];
  return [processes(facts), ...writer(facts), ...readers(facts), ...waiting(facts)];
}

function processes({ name, state }: Facts): Finding {
  const base = { id: 'users.processes', group: 'Users', title: 'Processes' } as const;
  const { processes: users, hiddenProcesses: hidden = 0, locks } = state;
  if (users === undefined) {
    return {
      ...base,
      state: 'note',
      found: 'Which processes have it open can not be told on this system.',
      advice: [`\`lsof ${shellWord(name)}\` names them where there is such a command.`],
    };
  }
  const others = (locks?.users ?? []).filter((pid) => !users.some((user) => user.pid === pid));
  const named = [
    ...users.map(({ pid, descriptors }) => {
      // Of one whose file was replaced.
      const what = descriptors === 0 ? '(what lies beside it alone)' : countOf(descriptors, 'time');
      return `${processName(state, pid)} ${what}`;
    }),
    ...others.map((pid) => processName(state, pid)),
  ];
  const { isConfined } = state;
  const unseen =
    hidden > 0 ? `; the open files of ${countOf(hidden, 'process', 'processes')} may not be looked at` : '';
  const found =
    named.length === 0
      ? `no process that can be seen${isConfined ? ' from here' : ''} has it open`
      : `open in ${listed(named)}`;
  const advice = [
    hidden > 0 && 'Run this as root, or as the user whose process uses the file, to see whether it is open there.',
    isConfined && 'Run this on the machine itself, or in the container of the process that uses the file.',
  ].filter((step) => step !== false);
  return {
    ...base,
    state: advice.length > 0 ? 'note' : 'ok',
    found: found + unseen,
    ...(isConfined && { why: unseenOutside }),
    ...(advice.length > 0 && { advice }),
  };
}

const unseenOutside = 'Processes outside of this container (PID namespace), and their locks, can not be seen.';

/** That nobody does something, which nobody can know who does not see everybody. */
function nobody({ isConfined }: FileState, base: Pick<Finding, 'id' | 'group' | 'title'>, does: string): Finding {
  if (!isConfined) return { ...base, state: 'ok', found: `nobody ${does}` };
  const found = `nobody that can be seen from here ${does}`;
  return { ...base, state: 'note', found, why: unseenOutside, advice: ['See Processes.'] };
}

function writer({ state, patience }: Facts): Finding[] {
  const base = { id: 'users.writer', group: 'Users', title: 'Writer' } as const;
  const { locks } = state;
  if (locks === undefined) return [];
  if (locks.exclusive !== undefined && locks.exclusive !== patience.exclusive) {
    const who = processName(state, locks.exclusive);
    return [{ ...base, state: 'ok', found: `${who} had the file for itself for a moment` }];
  }
  if (locks.exclusive !== undefined) {
    return [
      {
        ...base,
        state: 'note',
        found: `${processName(state, locks.exclusive)} holds the file exclusively, for at least ${formatDuration(patience.looked)}; whether it writes can not be told.`,
        why: 'Nobody else can read or write it meanwhile: until its log is copied into it where the process closes it just now, and for as long as the process has it open where that has set `PRAGMA locking_mode = EXCLUSIVE`.',
        advice: [
          'Look again. If it stays so, leave out `PRAGMA locking_mode = EXCLUSIVE` where others, such as a pool, are to use the file as well.',
        ],
      },
    ];
  }
  if (patience.writer === undefined) {
    if (locks.writer === undefined) return [nobody(state, base, 'writes')];
    return [{ ...base, state: 'ok', found: `${processName(state, locks.writer)} wrote for a moment` }];
  }
  return [
    {
      ...base,
      state: 'warning',
      found: `A write transaction is open in ${processName(state, patience.writer)}, for at least ${formatDuration(patience.looked)}.`,
      why: 'Nobody else can write meanwhile: they wait for as long as their busy timeout says, and then get SQLITE_BUSY.',
      advice: [
        'Await nothing slow inside a transaction: fetch first, then write.',
        'Where that process has the inspector, `leasehold top URL` names the lease and where it was acquired.',
      ],
    },
  ];
}

function readers({ state, patience }: Facts): Finding[] {
  const { locks, index, header } = state;
  if (locks === undefined || header?.journal !== 'wal' || index?.valid !== true) return [];
  const base = { id: 'users.readers', group: 'Users', title: 'Readers' } as const;
  if (patience.pins.length === 0) {
    return [nobody(state, base, 'keeps the log from being copied into the file')];
  }
  const pinned = locks.readers.filter(({ pid, pins }) => pins && patience.pins.includes(pid));
  const oldest = Math.min(...pinned.map(({ frame }) => frame ?? 0));
  const behind = pinned.length === 0 ? '' : `, ${countOf(index.frames - oldest, 'page')} behind`;
  return [
    {
      ...base,
      state: 'warning',
      found: `${listed(patience.pins.map((pid) => processName(state, pid)))} ${patience.pins.length === 1 ? 'reads' : 'read'} an older state${behind}, for at least ${formatDuration(patience.looked)}.`,
      why: 'The log can not be copied into the file beyond what is read there, and grows with every write until that ends.',
      advice: [
        'Look for a read transaction that is left open across an await, and for an `iterate()` that was not run to its end.',
        '`leakThreshold` of a pool reports leases that are held for long, with the place they come from.',
      ],
    },
  ];
}

function waiting({ state }: Facts): Finding[] {
  if (state.header === undefined) return [];
  return [
    {
      id: 'users.waiting',
      group: 'Users',
      state: 'ok',
      title: 'Waiting for locks',
      found:
        'set by each connection, not by the file: `busyTimeout` of a pool is how long a synchronous statement blocks its process for the lock of another; what returns a promise waits without blocking, for `acquireTimeout`',
    },
  ];
}
