import { formatBytes, formatDuration } from '../../../wording.ts';
import { isDamage, recovery } from '../damage.ts';
import type { Failure, Integrity, Keys, Pages, Skipped } from '../examination.ts';
import type { Facts, Finding, State } from '../finding.ts';
import { identifier, listed } from '../names.ts';
import { countOf, ofVacuum, processName } from '../wording.ts';
import { keyName } from './schema.ts';

/** What is in the pages: what SQLite itself says. */
export function contentFindings(facts: Facts): Finding[] {
  const { state, plan, examination } = facts;
  if (state.kind !== 'file' || state.content !== 'database') return [];
  const where: Finding = {
    id: 'content.examined',
    group: 'Content',
    state: plan.where === 'nowhere' ? 'note' : 'ok',
    title: 'Examined',
    found: plan.reason,
  };
  if (examination === undefined) return [where];
  const { pages, keys, integrity, failures } = examination;
  return [
    where,
    ...failures.map((failure) => failed(facts, failure)),
    ...(pages === undefined ? [] : pageFindings(pages, facts)),
    ...(keys === undefined ? notAsked(facts.keys, failures, 'content.keys', 'Foreign keys') : keyFindings(keys)),
    ...(integrity === undefined
      ? notAsked(facts.integrity !== 'none', failures, 'content.integrity', 'Integrity')
      : integrityFindings(integrity, facts)),
  ];
}

function notAsked(wanted: boolean, failures: readonly Failure[], id: string, title: string): Finding[] {
  if (wanted && failures.length > 0) return [];
  return [{ id, group: 'Content', state: 'ok', title, found: 'not looked at, as was asked' }];
}

function failed({ name, state }: Facts, failure: Failure): Finding {
  const { during, code, message } = failure;
  const base = { id: `content.failed-${during}`, group: 'Content', title: 'Examination' } as const;
  if (isDamage(failure)) {
    return {
      ...base,
      state: 'problem',
      found: `SQLite can not read it: ${message} (${code}).`,
      why: 'The file is damaged, or encrypted.',
      advice: recovery(name),
    };
  }
  if (code.startsWith('SQLITE_BUSY')) {
    const writer = state.locks?.writer;
    const who = writer === undefined ? 'somebody' : processName(state, writer);
    return {
      ...base,
      state: 'warning',
      found: `It was locked by ${who} for all the time that was to be waited (${code}).`,
      advice: ['Try again when that transaction has ended, or wait longer: `--timeout 60000`.'],
    };
  }
  if (code === 'SPACE') {
    return {
      ...base,
      state: 'warning',
      found: `There is no room for a copy in the directory for temporary files. ${message}`,
      advice: ['`TMPDIR=/var/tmp leasehold doctor …`, or another directory with room on a disk; or `--quick`.'],
    };
  }
  if (code === 'CHANGED') {
    return {
      ...base,
      state: 'warning',
      found: message,
      advice: ['Try again; where it is written to without an end, with `--in-place`.'],
    };
  }
  return {
    ...base,
    state: 'warning',
    found: `${message.replace(/\.$/, '')} (${code}).`,
    advice: [
      code === 'ENDED'
        ? 'Try again; where it ends again, with `--quick`, and see whether the system was short of memory.'
        : 'Try again as the user whose process uses the file. If that fails as well, look for errors of the disk, and at the directory for temporary files (TMPDIR).',
    ],
  };
}

function pageFindings({ lost, shared, sharedCount }: Pages, { name, examination }: Facts): Finding[] {
  const { settings, failures = [], integrity } = examination ?? {};
  const base = { id: 'content.pages', group: 'Content', title: 'Pages' } as const;
  if (sharedCount > 0) {
    const shown = shared.map(({ page, first, second }) => `${page} (${identifier(first)}, ${identifier(second)})`);
    return [
      {
        ...base,
        state: 'problem',
        found: `${countOf(sharedCount, 'page belongs', 'pages belong')} to two tables or indexes at a time: ${listed(shown)}.`,
        why: 'What is written to one of them overwrites the other.',
        advice: recovery(name),
      },
    ];
  }
  if (lost > 0) {
    const isDamagedBesides =
      failures.some(isDamage) || integrity?.problems.some(({ message }) => severityOf(message) === 'problem') === true;
    return [
      {
        ...base,
        state: 'warning',
        found: `${countOf(lost, 'page is', 'pages are')} neither in use nor free: ${formatBytes(lost * (settings?.pageSize ?? 0))}.`,
        why: 'No row is lost with them; something went wrong once.',
        advice: isDamagedBesides
          ? recovery(name)
          : [
              `If the integrity is well otherwise, keep a copy of the file; then \`VACUUM\` makes it anew without them. ${ofVacuum}`,
            ],
      },
    ];
  }
  return [{ ...base, state: 'ok', found: 'each is of one table or index, or free' }];
}

function keyFindings({ checked, violations, skipped, elapsed }: Keys): Finding[] {
  const base = { id: 'content.keys', group: 'Content', title: 'Foreign keys' } as const;
  const findings: Finding[] = violations.map(({ table, columns, parent, count, rowids, rowidName }) => {
    const first = rowids.length === 0 ? '' : `; the first rowids: ${rowids.join(', ')}`;
    return {
      ...base,
      state: 'problem',
      found: `${countOf(count, 'row')} of ${keyName(table, columns)} without a parent in ${identifier(parent)}${first}.`,
      why: 'They were written, or their parents deleted, by a connection that has foreign_keys off: queries that join leave such rows out.',
      advice: [
        rowidName === undefined
          ? `Find the rows of ${keyName(table, columns)} that have a key which is not in ${identifier(parent)}; mend or delete them.`
          : `SELECT * FROM ${identifier(table)} WHERE ${rowidName} IN (SELECT rowid FROM pragma_foreign_key_check('${table.replaceAll("'", "''")}'));`,
      ],
    };
  });
  if (violations.length === 0 && skipped.length === 0) {
    const found =
      checked === 0
        ? 'there are none'
        : `no row without its parent, in ${countOf(checked, 'table')} (${formatDuration(elapsed)})`;
    return [{ ...base, state: 'ok', found }];
  }
  if (skipped.length > 0) findings.push({ ...base, state: 'warning', ...notLookedAt(skipped, 'Not looked at') });
  return findings;
}

function integrityFindings(integrity: Integrity, { name, plan }: Facts): Finding[] {
  const { level, checked, problems, isCut, skipped, unchecked, elapsed } = integrity;
  const base = { id: 'content.integrity', group: 'Content', title: 'Integrity' } as const;
  const isCopy = plan.where === 'copy';
  const findings: Finding[] = [];
  const how = [
    level === 'quick' && ', without comparing indexes with their tables',
    // SQLite does not even read what they are on a connection that only reads.
    !isCopy && '; CHECK constraints are tried in a copy alone',
  ]
    .filter(Boolean)
    .join('');
  if (problems.length > 0) {
    for (const { table, message } of problems) {
      findings.push({
        ...base,
        state: severityOf(message),
        found: table === undefined ? message : `${identifier(table)}: ${message}`,
      });
    }
    const last = findings.pop();
    if (last !== undefined) {
      findings.push({
        ...last,
        ...(isCut && { found: `${last.found} (and more than these ${problems.length})` }),
        ...remedyOf(
          problems.map(({ message }) => message),
          name,
        ),
      });
    }
  } else {
    findings.push({
      ...base,
      state: 'ok',
      found: `nothing wrong in ${countOf(checked, 'table')}${how} (${formatDuration(elapsed)})`,
    });
  }
  if (skipped.length > 0) findings.push({ ...base, state: 'note', ...notLookedAt(skipped, 'Not looked at') });
  if (unchecked.length > 0) {
    findings.push({ ...base, state: 'note', ...notLookedAt(unchecked, 'Looked at without CHECK constraints') });
  }
  return findings;
}

/** Pages that nobody uses are no damage to what is in the others. */
function severityOf(message: string): State {
  return /^Page \d+: never used$/.test(message) ? 'warning' : 'problem';
}

/** What leaves the tables readable as they are, in the order in which it has to be mended: no index is made of keys that are there twice. */
const mendable = [
  {
    messages: /^(?:CHECK constraint failed in|NULL value in|non-[A-Z]+ value in|NUMERIC value in|TEXT value in) /,
    why: 'Such rows were written with the rule switched off, or before it was made; a change of one of them fails.',
    advice: 'Find the rows with a SELECT of what breaks the rule, and mend them.',
  },
  {
    messages: /^non-unique entry in index /,
    why: 'Rows have a key in common that the index says only one may have: an upsert or a query of one row meets any of them.',
    advice:
      'Find the keys, with the columns of the index for "a, b": `SELECT a, b, count(*) FROM t NOT INDEXED GROUP BY a, b HAVING count(*) > 1;` Change or remove all but one row of each, then look again.',
  },
  {
    messages:
      /^(?:row \d+ missing from index|wrong # of entries in index|rowid not at end-of-record for row \d+ of index)/,
    why: 'Queries that use the index miss rows or find wrong ones; the table itself is readable.',
    advice: '`REINDEX;`, then look again.',
  },
] as const;

function remedyOf(messages: readonly string[], name: string): Required<Pick<Finding, 'why' | 'advice'>> {
  if (!messages.every((message) => mendable.some((kind) => kind.messages.test(message)))) {
    return { why: 'Rows may be lost or wrong, and writes can do more damage.', advice: recovery(name) };
  }
  const kinds = mendable.filter((kind) => messages.some((message) => kind.messages.test(message)));
  return { why: kinds.map(({ why }) => why).join(' '), advice: kinds.map(({ advice }) => advice) };
}

function notLookedAt(skipped: readonly Skipped[], how: string): Pick<Finding, 'found' | 'why' | 'advice'> {
  const shown = skipped.map(({ table, reason }) => `${identifier(table)} (${reason})`);
  const needsApplication = skipped.some(({ reason }) =>
    /unknown function|no such (?:function|collation|module)/.test(reason),
  );
  const found = `${how}: ${listed(shown)}.`;
  if (needsApplication) {
    return {
      found,
      why: 'They need what the application gives its connections, such as in `onOpen` of a pool.',
      advice: ['Run `PRAGMA integrity_check` in the application to have these looked at too.'],
    };
  }
  if (skipped.some(({ reason }) => reason.startsWith('foreign key mismatch'))) {
    return {
      found,
      why: 'The columns that the key refers to are no key of the parent: with foreign_keys on, writes to these tables fail.',
      advice: ['Make a UNIQUE index on exactly those columns of the parent.'],
    };
  }
  return { found, advice: ['Try again when nobody writes, or wait longer for locks: `--timeout 60000`.'] };
}
