import type { Pages, Settings, Statistics, Step, Tables, Tree, UnindexedKey } from './examination.ts';
import { identifier } from './names.ts';
import { codeOf, type Reading } from './reading.ts';

/** Fewer rows than these are read in no time, with an index or without. */
const fewRows = 1000;

export function settingsOf(db: Reading): Settings {
  const autoVacuum = (['none', 'full', 'incremental'] as const)[db.number('PRAGMA auto_vacuum')];
  return {
    pageSize: db.number('PRAGMA page_size'),
    pageCount: db.number('PRAGMA page_count'),
    freePages: db.number('PRAGMA freelist_count'),
    autoVacuum: autoVacuum ?? 'none',
    userVersion: db.number('PRAGMA user_version'),
    applicationId: db.number('PRAGMA application_id'),
    encoding: String(db.value('PRAGMA encoding')),
  };
}

export function tablesOf(db: Reading): Tables {
  const count = (where: string) => db.number(`SELECT count(*) FROM sqlite_schema WHERE ${where}`);
  return {
    tables: count("type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"),
    indexes: count("type = 'index'"),
    virtual: count("type = 'table' AND rootpage = 0"),
    views: count("type = 'view'"),
    triggers: count("type = 'trigger'"),
  };
}

/** Tables in which rows are kept, those of virtual tables and of SQLite itself too. */
export function storedTables(db: Reading): string[] {
  return db
    .rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name")
    .map(([name]) => String(name));
}

export interface VirtualTable {
  readonly name: string;
  /** Absent where SQLite has it. */
  readonly missingModule: string | undefined;
}

/** Tables that a module makes, of which SQLite can only ask the module. Where it has none it says nothing of them. */
export function virtualTables(db: Reading): VirtualTable[] {
  const modules = new Set(db.rows('SELECT lower(name) FROM pragma_module_list').map(([name]) => name));
  return db
    .rows("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0 ORDER BY name")
    .map(([name, sql]) => {
      const [, quoted, bare] = /\bUSING\s+(?:["`[]([^"`\]]+)["`\]]|(\w+))/i.exec(String(sql)) ?? [];
      const module = quoted ?? bare;
      const isMissing = module !== undefined && !modules.has(module.toLowerCase());
      return { name: String(name), missingModule: isMissing ? module : undefined };
    });
}

/** Asks of every page of the file whose it is. To be called within one snapshot. */
export function pagesOf(db: Reading, settings: Settings, tell: (step: Step) => void): Pages {
  const owners = new Map<
    string,
    { readonly number: number; readonly tree: { -readonly [Key in keyof Tree]: Tree[Key] } }
  >();
  const trees: Tree[] = [];
  // By the number of the page: that of the tree it belongs to, which is one more than its index.
  const owner = new Uint32Array(settings.pageCount + 1);
  const shared: Pages['shared'][number][] = [];
  let sharedCount = 0;
  let owned = 0;
  let seen = 0;
  db.each('SELECT name, pageno, pagetype, ncell, unused, path FROM dbstat', [], (row) => {
    const [name, page, type, entries, unused] = [
      String(row[0]),
      Number(row[1]),
      row[2],
      Number(row[3]),
      Number(row[4]),
    ];
    let known = owners.get(name);
    if (known === undefined) {
      known = { number: trees.length + 1, tree: { name, pages: 0, entries: 0, unusedBytes: 0 } };
      owners.set(name, known);
      trees.push(known.tree);
    }
    const { number, tree } = known;
    tree.pages++;
    tree.unusedBytes += unused;
    if (type === 'leaf') tree.entries += entries;
    const before = owner[page] ?? 0;
    if (before === 0) {
      owner[page] = number;
      owned++;
    } else if (++sharedCount <= 100) {
      shared.push({ page, first: trees[before - 1]?.name ?? '', second: name });
    }
    if (++seen % 5000 === 0) {
      const done = Math.min(1, seen / settings.pageCount);
      tell({ phase: 'pages', name, from: done, to: done });
    }
  });
  const accounted = owned + settings.freePages + ownPages(settings);
  return {
    trees: trees.toSorted((a, b) => b.pages - a.pages),
    lost: Math.max(0, settings.pageCount - accounted),
    shared,
    sharedCount,
  };
}

/** Pages that SQLite keeps for itself: the one at the byte that is locked, and the maps of an auto-vacuum. */
function ownPages({ pageSize, pageCount, autoVacuum }: Settings): number {
  const lockPage = Math.floor(0x40_00_00_00 / pageSize) + 1;
  const lock = pageCount >= lockPage ? 1 : 0;
  if (autoVacuum === 'none') return lock;
  // The first map is page 2, and each is followed by the pages it has entries of five bytes for.
  const perMap = Math.floor(pageSize / 5) + 1;
  let maps = 0;
  for (let page = 2; page <= pageCount; page += perMap) maps++;
  return lock + maps;
}

/** @param rows of a table, where they were counted already */
export function unindexedKeys(
  db: Reading,
  tables: readonly string[],
  rows: ReadonlyMap<string, number>,
): UnindexedKey[] {
  const found: UnindexedKey[] = [];
  for (const table of tables) {
    for (const { parent, columns } of foreignKeys(db, table)) {
      if (!isLarge(db, table, rows)) continue;
      const condition = columns.map((column) => `${identifier(column)} = ?`).join(' AND ');
      // What SQLite would do to find the rows of a parent, which is what it does when that is deleted.
      const plan = attempt(
        () =>
          db.rows(`EXPLAIN QUERY PLAN SELECT 1 FROM ${identifier(table)} WHERE ${condition}`, ...columns.map(() => 0)),
        [],
      );
      if (plan.some((row) => String(row[3]).startsWith('SCAN')))
        found.push({ table, columns, parent, index: freeName(db, [table, ...columns].join('_')) });
    }
  }
  return found;
}

function freeName(db: Reading, wanted: string): string {
  const isTaken = (name: string) =>
    db.value('SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE', name) !== undefined;
  let name = wanted;
  for (let next = 2; isTaken(name); next++) name = `${wanted}_${next}`;
  return name;
}

export interface ForeignKey {
  readonly id: number;
  readonly parent: string;
  readonly columns: readonly string[];
}

export function foreignKeys(db: Reading, table: string): ForeignKey[] {
  const keys = new Map<number, { id: number; parent: string; columns: string[] }>();
  db.each(
    'SELECT id, "table", "from" FROM pragma_foreign_key_list(?) ORDER BY id, seq',
    [table],
    ([id, parent, column]) => {
      const key = keys.get(Number(id)) ?? { id: Number(id), parent: String(parent), columns: [] };
      key.columns.push(String(column));
      keys.set(key.id, key);
    },
  );
  return [...keys.values()];
}

export function statisticsOf(db: Reading, rows: ReadonlyMap<string, number>): Statistics {
  const indexed = db
    .rows(
      "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'index' AND tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .map(([name]) => String(name));
  const concerned = indexed.filter((table) => isLarge(db, table, rows));
  const isMissing = db.value("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'") === undefined;
  const stale: { table: string; told: number; rows: number }[] = [];
  if (!isMissing) {
    const told = new Map<string, number>();
    // The first number of each line is how many rows the index has: of a partial one fewer than the table.
    db.each('SELECT tbl, stat FROM sqlite_stat1', [], ([table, stat]) => {
      const count = Number.parseInt(String(stat), 10);
      if (Number.isFinite(count)) told.set(String(table), Math.max(count, told.get(String(table)) ?? 0));
    });
    for (const table of concerned) {
      const counted = rows.get(table);
      const known = told.get(table) ?? 0;
      // As `PRAGMA optimize` does: ten times as many, or as few, and what was chosen by them may be wrong.
      if (counted === undefined || (known <= counted * 10 && counted <= known * 10)) continue;
      stale.push({ table, told: known, rows: counted });
    }
  }
  return { isMissing, concerned: concerned.length, stale };
}

function isLarge(db: Reading, table: string, rows: ReadonlyMap<string, number>): boolean {
  const counted = rows.get(table);
  if (counted !== undefined) return counted > fewRows;
  return attempt(() => db.value(`SELECT 1 FROM ${identifier(table)} LIMIT 1 OFFSET ${fewRows}`) !== undefined, false);
}

/** A table may need what only the application has, or be damaged, which the check of it tells better. */
function attempt<Result>(work: () => Result, otherwise: Result): Result {
  try {
    return work();
  } catch (error) {
    if (codeOf(error).startsWith('SQLITE_')) return otherwise;
    throw error;
  }
}
