import { formatBytes } from '../../../wording.ts';
import { isDamaged, recovery } from '../damage.ts';
import type { Facts, Finding } from '../finding.ts';
import { shellWord } from '../names.ts';
import { countOf, number, ofVacuum, percent } from '../wording.ts';

const usualPageSize = 4096;
const scarce = 100_000_000;

/** Room in the file, and beside it. */
export function spaceFindings(facts: Facts): Finding[] {
  if (facts.state.kind !== 'file') return [];
  return [...disk(facts), ...pageSize(facts), ...freePages(facts)];
}

function disk({ state: { size = 0 }, surroundings }: Facts): Finding[] {
  const free = surroundings?.freeBytes;
  if (free === undefined) return [];
  const base = { id: 'space.disk', group: 'Space', title: 'Free disk space' } as const;
  if (free > Math.max(scarce, size / 10))
    return [{ ...base, state: 'ok', found: `${formatBytes(free)} beside the file` }];
  return [
    {
      ...base,
      state: 'warning',
      found: `${formatBytes(free)} beside a file of ${formatBytes(size)}.`,
      why: 'A journal grows with each transaction; when the disk is full, writes fail with SQLITE_FULL.',
      advice: ['Make room, or move the file.'],
    },
  ];
}

function pageSize({ state: { header }, surroundings, examination }: Facts): Finding[] {
  if (header === undefined) return [];
  const base = { id: 'space.page-size', group: 'Space', title: 'Page size' } as const;
  const block = surroundings?.blockSize;
  const told = `${header.pageSize} bytes${block === undefined ? '' : `; blocks of the file system have ${block}`}`;
  if (header.pageSize >= usualPageSize || isDamaged(examination)) return [{ ...base, state: 'ok', found: told }];
  return [
    {
      ...base,
      state: 'note',
      found: told,
      why: 'Smaller ones make trees deeper, and to write a part of a block the system has to read it first.',
      advice: [
        `While nobody else has it open, out of WAL mode: \`PRAGMA page_size = ${usualPageSize}; VACUUM;\` ${ofVacuum}`,
      ],
    },
  ];
}

function freePages({ name, state, examination }: Facts): Finding[] {
  const settings = examination?.settings;
  const facts = settings ?? state.header;
  if (facts === undefined) return [];
  const base = { id: 'space.free-pages', group: 'Space', title: 'Free pages' } as const;
  const pages = settings?.pageCount ?? Math.floor((state.size ?? 0) / facts.pageSize);
  const { freePages: free, autoVacuum } = facts;
  if (free > pages) {
    return [
      {
        ...base,
        state: 'problem',
        found: `The header tells of ${countOf(free, 'free page')}, and the file has ${number(pages)} in all.`,
        why: 'The list of free pages is damaged: what is written next may be written over what is in use.',
        advice: recovery(name),
      },
    ];
  }
  const share = pages === 0 ? 0 : free / pages;
  const told = `${countOf(free, 'page')}, ${percent(share)} of the file; auto_vacuum is ${autoVacuum}`;
  const bytes = free * facts.pageSize;
  if (share < 0.25 || bytes < 1_000_000 || isDamaged(examination)) return [{ ...base, state: 'ok', found: told }];
  const rest = (pages - free) * facts.pageSize;
  const vacuum = `\`sqlite3 ${shellWord(name)} VACUUM\` gives ${formatBytes(bytes)} back. It needs up to ${formatBytes(2 * rest)} meanwhile, and nobody can write. ${ofVacuum}`;
  return [
    {
      ...base,
      state: 'note',
      found: told,
      why: 'Rows to come use them again, so this costs disk space and the time of a backup alone.',
      advice: [autoVacuum === 'incremental' ? '`PRAGMA incremental_vacuum(1000)` gives back some at a time.' : vacuum],
    },
  ];
}
