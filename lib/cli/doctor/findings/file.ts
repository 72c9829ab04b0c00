import { formatBytes } from '../../../wording.ts';
import type { DatabaseHeader, FileState } from '../../outside/file-state.ts';
import { recovery } from '../damage.ts';
import type { Facts, Finding } from '../finding.ts';
import type { Guess } from '../guess.ts';
import { countOf, processName } from '../wording.ts';

/** What it is, and whether it can be used from here. */
export function fileFindings(facts: Facts): Finding[] {
  const { state } = facts;
  if (state.kind !== 'file') return [absent(state)];
  return [content(facts), ...length(facts), ...access(facts), ...place(facts), ...versions(facts)];
}

function absent({ kind, error }: FileState): Finding {
  const found = {
    missing: 'There is no file of that name.',
    directory: 'It is a directory.',
    other: 'It is neither a file nor a directory.',
    unreachable: `It can not be looked at: ${error}.`,
    file: '',
  }[kind];
  const advice = {
    missing: ['Look at the path: a pool or SQLite itself would make an empty database there.'],
    unreachable: ['Look at the path, or run this as the user whose process uses the file.'],
    directory: giveThePath,
    other: giveThePath,
    file: [],
  }[kind];
  return { id: 'file.exists', group: 'File', state: 'problem', title: 'Database file', found, advice };
}

const giveThePath = ['Give the path of the database file.'];

const guesses: Readonly<Record<Guess, Pick<Finding, 'why' | 'advice'>>> = {
  text: { why: 'It is a text.', advice: giveThePath },
  encrypted: {
    why: 'It looks like chance: a database that is encrypted, or something compressed.',
    advice: ['If it is encrypted, open it with the library and the key it was made with.'],
  },
  damaged: {
    why: 'What follows is the header of a database: its first bytes were overwritten.',
    advice: [
      'Keep a copy of the file with what lies beside it, and go back to the last backup.',
      'Without one: put the 16 bytes "SQLite format 3\\0" at the start of a copy, and examine that.',
    ],
  },
  blank: {
    why: 'They are all 0: it was never written, or erased; or somebody makes it who can not be seen, as a backup does.',
    advice: [
      'If nobody makes it now: keep a copy of the file with what lies beside it, and go back to the last backup.',
    ],
  },
  unknown: {
    why: 'It is another kind of file, or a database whose first page was overwritten.',
    advice: [
      'Give the path of the database file; if it is this one, keep a copy of it and go back to the last backup.',
    ],
  },
};

function content(facts: Facts): Finding {
  const { name, state, surroundings, guess } = facts;
  const base = { id: 'file.content', group: 'File', title: 'Database file' } as const;
  const { size = 0, header } = state;
  const refusal = state.error ?? surroundings?.readError;
  if (state.content === undefined || refusal !== undefined) {
    return {
      ...base,
      state: 'problem',
      found: `It can not be read${refusal === undefined ? '' : `: ${refusal}`}.`,
      advice: ['Run this as the user whose process uses the file.'],
    };
  }
  if (state.content === 'empty') {
    const emptied = emptiedFile(facts);
    if (emptied !== undefined) return { ...base, state: 'problem', ...emptied };
    return { ...base, state: 'note', found: 'It is empty: a database in which nothing was written yet.' };
  }
  if (state.content === 'database' && header === undefined) {
    return {
      ...base,
      state: 'problem',
      found: `Its ${formatBytes(size)} begin as those of a database do, and its header is nonsense or cut off.`,
      why: 'Something other than SQLite has written to the file, or it was copied while somebody wrote to it.',
      advice: recovery(name),
    };
  }
  const maker = state.journal === undefined ? undefined : (state.locks?.writer ?? state.locks?.committing);
  if (guess === 'blank' && maker !== undefined) {
    return {
      ...base,
      state: 'note',
      found: `${processName(state, maker)} makes it, as a backup does: its first page is written last.`,
      why: 'It is no database before that has ended.',
      advice: ['Look again when that process has ended its work.'],
    };
  }
  if (state.content === 'other' || header === undefined) {
    return {
      ...base,
      state: 'problem',
      found: `Its ${formatBytes(size)} do not begin as those of a database do.`,
      ...guesses[guess ?? 'unknown'],
    };
  }
  const found = `${formatBytes(size)}, ${countOf(Math.ceil(size / header.pageSize), 'page')} of ${header.pageSize} bytes; written last by SQLite ${versionOf(header)}`;
  return { ...base, state: 'ok', found };
}

/** A log is begun after the first page of the file was written: beside an empty one it tells that the file was not always that. */
function emptiedFile({
  name,
  state: { wal, index, locks },
  log,
}: Facts): Omit<Finding, 'id' | 'group' | 'state' | 'title'> | undefined {
  if (wal === undefined || wal.bytes === 0) return undefined;
  const isKnown = index?.valid === true && index.salt === wal.salt;
  const found = typeof log === 'object' ? log : undefined;
  const committed = Math.max(isKnown ? index.frames : 0, found?.committed ?? 0);
  const held =
    committed > 0
      ? `holds ${found?.isWhole === false ? 'at least ' : ''}${countOf(committed, 'page')} of committed transactions`
      : `has ${formatBytes(wal.bytes)}, in which no committed transaction can be read`;
  return {
    found: `It was emptied: it has 0 bytes, and "${name}-wal" ${held}.`,
    why: 'SQLite takes an empty file for a new database, and removes the log beside it without reading it.',
    advice: [
      ...((locks?.users.length ?? 0) > 0
        ? [
            'Do not end a process that has it open. First make a backup from within it, to another file, which has what the log and its memory have: `VACUUM INTO` or `db.backup()`.',
          ]
        : []),
      `Do not open it: copy "${name}" and "${name}-wal" first.`,
      'Go back to the last backup. Without one: the pages in the copy of the log are all that is left.',
    ],
  };
}

function versionOf({ sqliteVersion }: DatabaseHeader): string {
  const [major, minor, patch] = [sqliteVersion / 1e6, (sqliteVersion / 1e3) % 1e3, sqliteVersion % 1e3].map(Math.floor);
  return `${major}.${minor}.${patch}`;
}

function length({ name, state: { size = 0, header }, patience }: Facts): Finding[] {
  if (header === undefined || patience.length === undefined) return [];
  const base = { id: 'file.length', group: 'File', title: 'Length' } as const;
  if (patience.length === 'short') {
    return [
      {
        ...base,
        state: 'problem',
        found: `The header tells of ${countOf(header.pages, 'page')}, and ${countOf(Math.floor(size / header.pageSize), 'is', 'are')} there.`,
        why: 'The end of the file was cut off, or it was copied while somebody wrote to it.',
        advice: recovery(name),
      },
    ];
  }
  return [
    {
      ...base,
      state: 'warning',
      found: `It ends with ${countOf(size % header.pageSize, 'byte that is', 'bytes that are')} no whole page.`,
      why: 'Something other than SQLite has written to the file, or cut it off.',
      advice: ['Find out who copies the file, and copy it with `db.backup()` or `VACUUM INTO` instead.'],
    },
  ];
}

function access({ surroundings }: Facts): Finding[] {
  if (surroundings === undefined) return [];
  const { readError, writeError, directoryError } = surroundings;
  if (readError !== undefined) return [];
  const base = { id: 'file.access', group: 'File', title: 'Access' } as const;
  if (writeError === undefined && directoryError === undefined) {
    return [{ ...base, state: 'ok', found: 'this user can read and write the file, and make files beside it' }];
  }
  const found =
    writeError === undefined
      ? `This user can not make files in its directory: ${directoryError}.`
      : `This user can not write to it: ${writeError}.`;
  return [
    {
      ...base,
      state: 'note',
      found,
      why: 'Who writes also needs a journal beside the file; who only reads a database in WAL mode needs it too, unless somebody else has the file open.',
      advice: ['If the process that uses it runs as this user: grant write access to the file and to its directory.'],
    },
  ];
}

function place({ surroundings }: Facts): Finding[] {
  const system = surroundings?.fileSystem;
  if (system === undefined) return [];
  const base = { id: 'file.place', group: 'File', title: 'File system' } as const;
  const places: Readonly<Record<typeof system.kind, Omit<Finding, keyof typeof base> | undefined>> = {
    network: {
      state: 'warning',
      found: `It is on a network file system (${system.name}).`,
      why: 'Locks are not reliable there, and the index of a WAL is memory that two machines can not share: writers on two of them damage the file.',
      advice: [
        'Move it to a local disk. If it has to stay, use it from one machine alone, without a WAL (see Journal mode).',
      ],
    },
    shared: {
      state: 'warning',
      found: `It is on a file system that another program or machine serves (${system.name}).`,
      why: 'Not all of these have locks and shared memory that work, without which two writers damage the file.',
      advice: ['Prefer a local disk, or the volume of a container over a directory of the host.'],
    },
    memory: {
      state: 'note',
      found: `It is in memory (${system.name}).`,
      why: 'It is gone when the machine starts again.',
      advice: ['Keep what has to last on a disk.'],
    },
    layer: {
      state: 'note',
      found: 'It is in the layer of a container (overlay).',
      why: 'It is gone when the container is removed.',
      advice: ['Keep it in a volume.'],
    },
    local: undefined,
  };
  const told = places[system.kind];
  return told === undefined ? [] : [{ ...base, ...told }];
}

function versions({ state: { header }, examination }: Facts): Finding[] {
  const told = examination?.settings ?? header;
  if (told === undefined) return [];
  const found = `user_version ${told.userVersion}, application_id ${told.applicationId}, ${told.encoding}`;
  return [{ id: 'file.versions', group: 'File', state: 'ok', title: 'Versions', found }];
}
