import type { Facts, Finding } from '../finding.ts';
import { identifier, listed } from '../names.ts';
import { countOf, number } from '../wording.ts';

/** Tables, and what makes queries on them slow. */
export function schemaFindings({ examination }: Facts): Finding[] {
  if (examination === undefined) return [];
  const { tables, unindexed, statistics, pages } = examination;
  const findings: Finding[] = [];
  const base = { group: 'Schema' } as const;
  if (tables !== undefined) {
    const parts = [
      countOf(tables.tables, 'table'),
      countOf(tables.indexes, 'index', 'indexes'),
      tables.virtual > 0 && countOf(tables.virtual, 'virtual table'),
      tables.views > 0 && countOf(tables.views, 'view'),
      tables.triggers > 0 && countOf(tables.triggers, 'trigger'),
    ].filter((part) => part !== false);
    const largest = pages?.trees[0];
    const of =
      largest === undefined
        ? ''
        : `; the largest is ${identifier(largest.name)} with ${countOf(largest.pages, 'page')}`;
    findings.push({ ...base, id: 'schema.tables', state: 'ok', title: 'Tables', found: listed(parts) + of });
  }
  findings.push({
    ...base,
    id: 'schema.settings',
    state: 'ok',
    title: 'Of each connection',
    found:
      'synchronous and foreign_keys are set by each connection, not by the file; a pool sets synchronous = NORMAL and foreign_keys = ON unless its `pragmas` say otherwise',
  });
  if (unindexed !== undefined) {
    const title = 'Foreign key indexes';
    findings.push(
      unindexed.length === 0
        ? { ...base, id: 'schema.key-indexes', state: 'ok', title, found: 'all that matter are there' }
        : {
            ...base,
            id: 'schema.key-indexes',
            state: 'warning',
            title,
            found: `Without one: ${listed(unindexed.map(({ table, columns, parent }) => `${keyName(table, columns)} → ${identifier(parent)}`))}.`,
            why: 'To delete a row of the parent, or to change its key, all rows of the child table are read.',
            advice: unindexed
              .slice(0, 3)
              .map(({ table, columns, index }) => `CREATE INDEX ${identifier(index)} ON ${keyName(table, columns)};`),
          },
    );
  }
  if (statistics !== undefined) findings.push(statisticsFinding(statistics));
  return findings;
}

export function keyName(table: string, columns: readonly string[]): string {
  return `${identifier(table)} (${columns.map(identifier).join(', ')})`;
}

function statisticsFinding({
  isMissing,
  concerned,
  stale,
}: NonNullable<NonNullable<Facts['examination']>['statistics']>): Finding {
  const base = { id: 'schema.statistics', group: 'Schema', title: 'Statistics' } as const;
  const advice = [
    "`await pool.run('PRAGMA optimize')` now and then: for example once a day, and before the pool is closed.",
  ];
  if (isMissing && concerned > 0) {
    return {
      ...base,
      state: 'note',
      found: `There are none, and ${countOf(concerned, 'table')} with an index large enough for them to matter.`,
      why: 'Of several indexes SQLite then guesses which one leaves fewer rows.',
      advice,
    };
  }
  if (stale.length > 0) {
    const shown = stale.map(
      ({ table, told, rows }) => `${identifier(table)} (${number(told)} then, ${number(rows)} now)`,
    );
    return {
      ...base,
      state: 'note',
      found: `Out of date: ${listed(shown)}.`,
      why: 'SQLite may choose an index that leaves many rows over one that leaves few.',
      advice,
    };
  }
  return {
    ...base,
    state: 'ok',
    found: isMissing ? 'none, and no table that is large enough to need them' : 'there, and of about the right size',
  };
}
