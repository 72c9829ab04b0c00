import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { createPool } from '../../lib/index.ts';
import type { RawDatabase } from '../../lib/sqlite/better-sqlite3.ts';
import { temporaryDirectory } from '../support/files.ts';
import { loosely, observe, sample } from '../support/sqlite.ts';

/** One thing that is done with a handle. Statements and iterators are kept under a number, so that several live at once. */
export type Step =
  | { readonly do: 'prepare'; readonly at: number; readonly sql: string }
  | { readonly do: 'toggle'; readonly at: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly do: 'use'; readonly at: number; readonly method: string; readonly args: Binds }
  | { readonly do: 'next' | 'return'; readonly at: number }
  | { readonly do: 'ask'; readonly at: number; readonly what: string }
  | { readonly do: 'script'; readonly method: 'exec' | 'pragma' | 'explain'; readonly args: readonly unknown[] };

/** Values to bind, made anew for each handle. */
export interface Binds {
  readonly text: string;
  make(): readonly unknown[];
  toString(): string;
}

interface Twin {
  readonly db: RawDatabase;
  readonly directory: string;
  readonly statements: Map<number, object>;
  readonly iterators: Map<number, Iterator<unknown>>;
  /** Every iterator there was: one that is forgotten keeps its connection busy. */
  readonly begun: Iterator<unknown>[];
}

/** What a step came to, in values that can be compared. */
export type Outcome =
  | { readonly returned: unknown; readonly code?: never }
  | { readonly class: string; readonly isOwn: boolean; readonly code: unknown; readonly message: unknown };

function outcomeOf(twin: Twin, step: Step): Outcome {
  try {
    return { returned: comparable(twin, take(twin, step)) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = 'code' in error ? error.code : undefined;
    return {
      class: error.constructor.name,
      isOwn: error instanceof Database.SqliteError,
      code,
      message: comparable(twin, error.message),
    };
  }
}

function take(twin: Twin, step: Step): unknown {
  const { db, statements, iterators, begun } = twin;
  const statement = 'at' in step ? statements.get(step.at) : undefined;
  switch (step.do) {
    case 'prepare': {
      statements.delete(step.at);
      const prepared = db.prepare(step.sql);
      statements.set(step.at, prepared);
      return [prepared.source, prepared.reader, prepared.readonly, prepared.busy];
    }
    case 'script':
      return loosely(db, step.method, step.args);
    case 'next':
      return iterators.get(step.at)?.next();
    case 'return':
      return iterators.get(step.at)?.return?.();
    case 'ask':
      if (step.what === 'inTransaction') return db.inTransaction;
      return step.what in (statement ?? {}) ? Reflect.get(statement ?? {}, step.what) : undefined;
    case 'toggle':
      return statement && loosely(statement, step.method, step.args);
    case 'use': {
      if (statement === undefined) return undefined;
      const result = loosely(statement, step.method, step.args.make());
      if (step.method === 'iterate') {
        iterators.set(step.at, result as Iterator<unknown>);
        begun.push(result as Iterator<unknown>);
      }
      return result;
    }
    default:
      throw new Error('No such step');
  }
}

/** A value as it can be compared: what belongs to a handle as what it is, paths as if there were one. */
function comparable({ db, directory, statements, begun }: Twin, value: unknown): unknown {
  const of = (inner: unknown): unknown => {
    if (typeof inner === 'string') return inner.replaceAll(directory, '<directory>');
    if (typeof inner === 'function') return '<function>';
    if (typeof inner !== 'object' || inner === null || Buffer.isBuffer(inner)) return inner;
    if (inner === db) return '<database>';
    if ([...statements.values()].includes(inner)) return '<statement>';
    if (begun.some((each) => each === inner)) return '<iterator>';
    if (Array.isArray(inner)) return inner.map(of);
    return Object.fromEntries(Object.entries(inner).map(([key, entry]) => [key, of(entry)]));
  };
  return of(value);
}

/** All that is in a file, but for what SQLite keeps there for itself. */
function contentOf(file: string): unknown {
  const db = new Database(file, { readonly: true });
  try {
    const tables = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name").raw().all();
    const rest = db
      .prepare("SELECT type, name, sql FROM sqlite_schema WHERE type <> 'table' ORDER BY name")
      .raw()
      .all();
    const rows = (tables as [string][]).map(([name]) =>
      db
        .prepare(`SELECT * FROM "${name.replaceAll('"', '""')}"`)
        .raw()
        .safeIntegers()
        .all(),
    );
    return { tables, rest, rows, version: db.pragma('user_version') };
  } finally {
    db.close();
  }
}

const timeout = 1000;

/** What is done to a twin of its own: the outcome of each step, then the state of the connection, then that of the file. */
async function recordOf(
  directory: string,
  steps: readonly Step[],
  open: (file: string) => Promise<{ readonly db: RawDatabase; close(): unknown }>,
): Promise<unknown[]> {
  const file = join(directory, 'app.db');
  const { db, close } = await open(file);
  const twin: Twin = { db, directory, statements: new Map(), iterators: new Map(), begun: [] };
  const outcomes: unknown[] = steps.map((step) => outcomeOf(twin, step));
  for (const iterator of twin.begun) iterator.return?.();
  outcomes.push(comparable(twin, observe(db)));
  await close();
  outcomes.push(comparable(twin, contentOf(file)));
  return outcomes;
}

export function prepareSample(db: Database.Database): void {
  db.exec(sample);
}

/**
 * Where two records first differ; `undefined` where they do not. A kept statement is not prepared again before it runs, and one
 * that is asked for its columns or bound is: so what a change of the schema has made of it shows in another of its calls. What
 * comes after that is not compared.
 */
export function differenceOf(
  steps: readonly Step[],
  raw: readonly unknown[],
  leased: readonly unknown[],
): string | undefined {
  const at = raw.findIndex((outcome, index) => !isDeepStrictEqual(outcome, leased[index]));
  if (at === -1) return undefined;
  const [expected, found] = [raw[at], leased[at]] as [Partial<Outcome>, Partial<Outcome>];
  const step = steps[at];
  const isLater = step?.do === 'prepare' && expected.code === 'SQLITE_ERROR' && 'returned' in found;
  const isSooner = step?.do === 'use' && /^(?:bind|columns)$/.test(step.method) && found.code === 'SQLITE_ERROR';
  if (isLater || isSooner) return undefined;
  return `Step ${at}: ${fc.stringify(expected)} became ${fc.stringify(found)}`;
}

/** Better-sqlite3's own handle, and one of a pool, each on a file of its own, and what each makes of the same steps. */
export async function twinsOf(t: ExecutionContext, steps: readonly Step[]): Promise<readonly [unknown[], unknown[]]> {
  const raw = await recordOf(temporaryDirectory(t), steps, async (file) => {
    const db = new Database(file, { timeout }) as RawDatabase;
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = OFF');
    db.exec(sample);
    return { db, close: () => db.close() };
  });
  const leased = await recordOf(temporaryDirectory(t), steps, async (file) => {
    const pool = createPool(file, {
      acquireTimeout: 60_000,
      max: 1,
      busyTimeout: timeout,
      pragmas: { synchronous: 'OFF' },
      onOpen: prepareSample,
    });
    const db = await pool.acquire();
    return {
      db: db as unknown as RawDatabase,
      close: async () => {
        db.close();
        await pool.close();
      },
    };
  });
  return [raw, leased];
}
