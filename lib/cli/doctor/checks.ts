import {
  type Integrity,
  type Job,
  type Keys,
  lockedReason,
  type Pages,
  type Skipped,
  type Step,
  type Violation,
} from './examination.ts';
import { codeOf, isDamage, messageOf, type Reading } from './reading.ts';
import { foreignKeys, storedTables, virtualTables } from './survey.ts';

const mostProblems = 100;
const firstRowids = 5;

type Tell = (step: Step) => Promise<void>;

/** Where in a phase each table is, by how many pages it has: the small ones take no time. */
function sharesOf(
  tables: readonly string[],
  weights: ReadonlyMap<string, number>,
): { readonly name: string; readonly from: number; readonly to: number }[] {
  const weight = (table: string) => 1 + (weights.get(table) ?? 0);
  const total = tables.reduce((sum, table) => sum + weight(table), 0);
  let done = 0;
  return tables.map((name) => {
    const from = done / total;
    done += weight(name);
    return { name, from, to: done / total };
  });
}

/**
 * Each table with its indexes, in a transaction of its own: so that nobody is kept waiting, or a log from being copied, for longer
 * than it takes to check one.
 */
export async function checkIntegrity(
  db: Reading,
  level: Exclude<Job['integrity'], 'none'>,
  weights: ReadonlyMap<string, number>,
  tell: Tell,
): Promise<Integrity> {
  const began = performance.now();
  const problems: Integrity['problems'][number][] = [];
  const skipped: Skipped[] = [];
  const unchecked: Skipped[] = [];
  let isCut = false;
  let checked = 0;
  // Of the schema the free pages are a part.
  const virtual = virtualTables(db);
  for (const { name, missingModule } of virtual) {
    if (missingModule !== undefined) skipped.push({ table: name, reason: `no such module: ${missingModule}` });
  }
  const askable = virtual.filter(({ missingModule }) => missingModule === undefined).map(({ name }) => name);
  const tables = ['sqlite_schema', ...storedTables(db), ...askable];
  const seen = new Set<string>();
  for (const { name: table, ...share } of sharesOf(tables, weights)) {
    await tell({ phase: 'integrity', name: table, ...share });
    const add = (found: readonly string[]) => {
      for (const message of found) {
        if (message === 'ok' || seen.has(`${table}\0${message}`)) continue;
        seen.add(`${table}\0${message}`);
        if (problems.length < mostProblems) problems.push({ table, message });
        else isCut = true;
      }
    };
    try {
      add(checkTable(db, level, table));
      checked++;
    } catch (error) {
      if (isDamage(error)) {
        add([messageOf(error)]);
        checked++;
        continue;
      }
      try {
        // Without its CHECK constraints it may do: a function in them that only the application has would end it.
        add(db.withoutChecks(() => checkTable(db, level, table)));
        unchecked.push({ table, reason: reasonOf(error) });
        checked++;
      } catch {
        skipped.push({ table, reason: reasonOf(error) });
      }
    }
    if (isCut) break;
  }
  return { level, checked, problems, isCut, skipped, unchecked, elapsed: performance.now() - began };
}

function reasonOf(error: unknown): string {
  return codeOf(error).startsWith('SQLITE_BUSY') ? lockedReason : messageOf(error);
}

function checkTable(db: Reading, level: 'quick' | 'full', table: string): string[] {
  const pragma = level === 'quick' ? 'quick_check' : 'integrity_check';
  // A number would be how many problems to tell of at most, and all tables be looked at.
  if (/^\s*[-+]?(?:0x[\da-f]+|\d+)\s*$/i.test(table)) return strings(db.rows(`PRAGMA ${pragma}`));
  return strings(db.rows(`SELECT * FROM pragma_${pragma}(?)`, table));
}

/** In SQLite's words, what is wrong with the pages that are nobody's or two tables'. */
export function checkWhole(db: Reading): string[] {
  return strings(db.rows('PRAGMA quick_check')).filter((message) => message !== 'ok');
}

function strings(rows: readonly unknown[][]): string[] {
  // It tells of each page in a line of its own, of all of them in one text.
  return rows
    .flatMap(([text]) => String(text).split('\n'))
    .filter((text) => !/^\*\*\* in database \w+ \*\*\*$/.test(text));
}

export async function checkKeys(db: Reading, weights: ReadonlyMap<string, number>, tell: Tell): Promise<Keys> {
  const began = performance.now();
  const violations: Violation[] = [];
  const skipped: Skipped[] = [];
  const tables = storedTables(db).filter((table) => foreignKeys(db, table).length > 0);
  let checked = 0;
  for (const { name: table, ...share } of sharesOf(tables, weights)) {
    await tell({ phase: 'keys', name: table, ...share });
    try {
      violations.push(...violationsOf(db, table));
      checked++;
    } catch (error) {
      skipped.push({ table, reason: reasonOf(error) });
    }
  }
  return { checked, violations, skipped, elapsed: performance.now() - began };
}

function violationsOf(db: Reading, table: string): Violation[] {
  const found = new Map<number, { count: number; rowids: string[] }>();
  db.each('SELECT fkid, CAST(rowid AS TEXT) FROM pragma_foreign_key_check(?)', [table], ([id, rowid]) => {
    const entry = found.get(Number(id)) ?? { count: 0, rowids: [] };
    entry.count++;
    if (rowid !== null && entry.rowids.length < firstRowids) entry.rowids.push(String(rowid));
    found.set(Number(id), entry);
  });
  const keys = foreignKeys(db, table);
  const rowidName = rowidNameOf(db, table);
  return [...found].map(([id, entry]) => {
    const key = keys.find((candidate) => candidate.id === id);
    return { table, columns: key?.columns ?? [], parent: key?.parent ?? '', ...entry, rowidName };
  });
}

function rowidNameOf(db: Reading, table: string): string | undefined {
  if (db.number("SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'", table) === 1) return undefined;
  const columns = new Set(db.rows('SELECT lower(name) FROM pragma_table_xinfo(?)', table).map(([name]) => name));
  return ['rowid', '_rowid_', 'oid'].find((name) => !columns.has(name));
}

/** Pages of each table together with those of its indexes, which are checked with it. */
export function weightsOf(db: Reading, pages: Pages | undefined): Map<string, number> {
  const weights = new Map<string, number>();
  if (pages === undefined) return weights;
  const tableOf = new Map(
    db.rows('SELECT name, tbl_name FROM sqlite_schema').map(([name, of]) => [String(name), String(of)]),
  );
  for (const { name, pages: count } of pages.trees) {
    const table = tableOf.get(name) ?? name;
    weights.set(table, (weights.get(table) ?? 0) + count);
  }
  return weights;
}
