import { type InspectOptions, inspect, types } from 'node:util';
import { LeaseholdError } from '../errors.ts';
import { inspection } from './inspection.ts';

/** What SQLite can bind. A typed array becomes a blob of its bytes. */
export type SqlValue = number | string | bigint | null | NodeJS.TypedArray;

/** What may stand in a template: a value, which is bound, or a fragment, which becomes part of the text. */
export type SqlPart = SqlValue | SqlQuery;

/**
 * A query object or a part of a template can not be used. What was given is in neither message nor fields, because it may be a
 * value that was to be bound: only what kind of thing it is, and where.
 */
export class QueryError extends LeaseholdError {
  readonly code = 'ERR_LEASEHOLD_QUERY';
  /** Which value, item, name or row, counted from 1; `undefined` where it is about the whole. */
  readonly position: number | undefined;

  constructor(what: string, problem: string, remedy: string, position?: number) {
    super(`${what} ${problem}. ${remedy}`);
    this.position = position;
  }
}

declare const rowType: unique symbol;

/**
 * A query, or a fragment of one: text with a `?` for each value, and the values. Made by `sql`, never changes. Its fields are
 * private and its values show in nothing that is printed.
 */
export class SqlQuery<Row = unknown> {
  /** The type of its rows, for the compiler alone. */
  declare readonly [rowType]?: Row;
  readonly #text: string;
  readonly #values: readonly SqlValue[];

  constructor(text: string, values: readonly SqlValue[]) {
    this.#text = text;
    // Frozen, because a query may be kept and used again. The buffers among them are the caller's own still.
    this.#values = Object.freeze(values);
  }

  /**
   * Whether it was made by `sql`. Looks for a private field, which neither parsed JSON nor any other input can have: what comes
   * from outside is a value at most, never a fragment.
   */
  static made(thing: object): thing is SqlQuery {
    return #text in thing;
  }

  get sql(): string {
    return this.#text;
  }

  get values(): readonly SqlValue[] {
    return this.#values;
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return inspection('SqlQuery', { sql: this.#text, bound: this.#values.length }, options);
  }
}

/** The tag `sql`, and what makes the parts of a query that are not values. */
export interface SqlTag {
  /** A query or a fragment of one: values are bound, fragments become part of it. `Row` is what `get` and `all` will return. */
  <Row = unknown>(template: TemplateStringsArray, ...parts: readonly SqlPart[]): SqlQuery<Row>;

  /** A quoted name: `sql.id('main', 'order')` is `"main"."order"`. The name may be anything; that it exists SQLite checks. */
  id(...names: readonly [string, ...string[]]): SqlQuery;

  /** Values or fragments with commas between, as for `IN (…)`. An empty list is no text; SQLite takes `IN ()`, and finds nothing. */
  list(items: readonly SqlPart[]): SqlQuery;

  /** Rows for `VALUES …`: `(?, ?), (?, ?)`. At least one, all of the same length. */
  values(rows: readonly (readonly SqlPart[])[]): SqlQuery;

  /** Fragments with a text between, `', '` unless said, say `' AND '`. That text is not quoted: it must be your own. */
  join(fragments: readonly SqlQuery[], separator?: string): SqlQuery;

  /** Text as it is. Whoever can choose it can do everything: it must be your own. */
  raw(text: string): SqlQuery;

  /** Nothing, for the branch of a condition that has nothing to add. */
  readonly empty: SqlQuery;
}

/** What of a template is the same for each of its calls. */
interface Template {
  /** Its text if all parts are values: the same string each time, so that its hash is computed once for the statement cache. */
  readonly text: string;
  /** Parts that stand in a literal or comment. */
  readonly quoted: ReadonlySet<number>;
}

// JavaScript makes one array for each place in the source.
const templates = new WeakMap<TemplateStringsArray, Template>();

/**
 * SQLite's tokens as far as parameters are concerned: those that may contain what looks like one, and parameters. A doubled quote
 * in a quoted token reads as two tokens, which does no harm.
 */
export const tokenPattern =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\?\d*|[$:@][\w$\u0080-\uffff]+/g;

function tag(template: TemplateStringsArray, ...parts: SqlPart[]): SqlQuery {
  const { text, quoted } = templates.get(template) ?? admit(template);
  if (quoted.size === 0 && parts.every(isValue)) return new SqlQuery(text, parts);
  const values: SqlValue[] = [];
  const pieces = parts.map((part, index) => {
    const before = values.length;
    const piece = put(part, values, 'Value', 'of the template', index);
    // Raw text and names may stand in a literal, and be meant so.
    if (quoted.has(index) && values.length > before) throw quotedValue(index);
    return piece;
  });
  // Puts together the strings it is given, whether they are raw or not.
  return new SqlQuery(String.raw({ raw: template }, ...pieces), values);
}

/** Looks at a template for the first time. */
function admit(strings: TemplateStringsArray): Template {
  // Not a plain array either: that could be parsed JSON.
  if (!Array.isArray(strings) || !Array.isArray(strings.raw)) {
    throw new QueryError(
      'What sql was called with',
      'is no template',
      'Write sql`…`; for text of your own, sql.raw(text).',
    );
  }
  const invalid = strings.findIndex((string) => typeof string !== 'string');
  if (invalid !== -1) {
    throw new QueryError('The template', 'has an invalid escape sequence', 'Write \\\\ for a backslash.');
  }
  const text = strings.join('?');
  const template = { text, quoted: quotedParts(strings, text) };
  templates.set(strings, template);
  return template;
}

/**
 * Parts whose `?` would be no parameter, because it is in a literal or comment. It could not go wrong in silence, for there would be
 * more values than parameters; but that message would send nobody to the quotes.
 */
function quotedParts(strings: readonly string[], text: string): Set<number> {
  const quoted = new Set<number>();
  const tokens = text.matchAll(tokenPattern);
  let token = tokens.next().value;
  let offset = -1;
  for (const [index, string] of strings.slice(0, -1).entries()) {
    offset += string.length + 1;
    while (token !== undefined && token.index + token[0].length <= offset) token = tokens.next().value;
    // The token of a parameter begins with it.
    if (token !== undefined && token.index < offset) quoted.add(index);
  }
  return quoted;
}

function quotedValue(index: number): QueryError {
  return new QueryError(
    `Value ${index + 1} of the template`,
    'stands in a quoted text, name or comment, where nothing can be bound',
    'Leave out the quotes, and put what else is between them into the value; a name is written sql.id(name).',
    index + 1,
  );
}

function isValue(part: unknown): part is SqlValue {
  const type = typeof part;
  return type === 'string' || type === 'number' || type === 'bigint' || part === null || types.isTypedArray(part);
}

/** The text of a part. Its values are put behind `values`. */
function put(part: unknown, values: SqlValue[], what: string, where: string, index: number): string {
  if (isValue(part)) {
    values.push(part);
    return '?';
  }
  if (isFragment(part)) {
    for (const value of part.values) values.push(value);
    return part.sql;
  }
  const [kind, remedy] = describe(part);
  throw new QueryError(`${what} ${index + 1} ${where}`, `is ${kind}`, remedy, index + 1);
}

function isFragment(part: unknown): part is SqlQuery {
  return typeof part === 'object' && part !== null && SqlQuery.made(part);
}

/** What kind of thing can not be bound, and what to bind instead. Never what it is. */
function describe(part: unknown): readonly [kind: string, remedy: string] {
  if (part === undefined) return ['undefined', 'Bind null if NULL is meant.'];
  if (typeof part === 'boolean') return ['a boolean, which SQLite does not have', 'Bind 1 or 0.'];
  if (typeof part === 'function') return ['a function', 'Call it.'];
  if (typeof part === 'symbol') return ['a symbol', 'Bind a string.'];
  if (Array.isArray(part)) return ['an array', 'Write sql.list(array), or sql.values(rows) for rows.'];
  if (types.isDate(part)) return ['a Date, which SQLite does not have', 'Bind its getTime() or toISOString().'];
  if (types.isPromise(part)) return ['a promise', 'Await it.'];
  if (types.isAnyArrayBuffer(part) || types.isDataView(part)) return ['no typed array', 'Bind a Uint8Array of it.'];
  return ['an object', 'Bind a property of it, or its JSON.stringify(); a fragment is made with sql`…`.'];
}

function id(...names: readonly string[]): SqlQuery {
  if (names.length === 0)
    throw new QueryError('sql.id()', 'has no name', 'Write sql.id(name), or sql.id(table, column).');
  const quoted = names.map((name: unknown, index) => {
    const problem = typeof name !== 'string' ? 'is no string' : name === '' ? 'is empty' : 'has a NUL character in it';
    if (typeof name !== 'string' || name === '' || name.includes('\0'))
      throw new QueryError(`Name ${index + 1} of sql.id()`, problem, 'Give the name of a table or column.', index + 1);
    return `"${name.replaceAll('"', '""')}"`;
  });
  return new SqlQuery(quoted.join('.'), []);
}

/** Parts with a text between them. */
function together(parts: readonly unknown[], separator: string, where: string): SqlQuery {
  const values: SqlValue[] = [];
  const pieces = Array.from(parts, (part, index) => put(part, values, 'Item', where, index));
  return new SqlQuery(pieces.join(separator), values);
}

function list(items: readonly SqlPart[]): SqlQuery {
  checkArray(items, 'sql.list()');
  return together(items, ', ', 'of sql.list()');
}

function valuesOf(rows: readonly (readonly SqlPart[])[]): SqlQuery {
  checkArray(rows, 'sql.values()');
  if (rows.length === 0)
    throw new QueryError('sql.values()', 'has no rows', 'SQLite has no empty VALUES: run nothing.');
  const width = rows[0]?.length;
  const fragments = rows.map((row, index) => {
    const what = `Row ${index + 1} of sql.values()`;
    const problem = Array.isArray(row) ? lengthProblem(row, width) : 'is no array';
    if (problem !== undefined)
      throw new QueryError(what, problem, 'Give an array for each row, all of the same length.', index + 1);
    const { sql: text, values: bound } = together(row, ', ', `of row ${index + 1} of sql.values()`);
    return new SqlQuery(`(${text})`, bound);
  });
  return together(fragments, ', ', 'of sql.values()');
}

function lengthProblem(row: readonly unknown[], width: number | undefined): string | undefined {
  if (row.length === 0) return 'is empty';
  return row.length === width ? undefined : 'is not as long as the first';
}

function join(fragments: readonly SqlQuery[], separator = ', '): SqlQuery {
  checkArray(fragments, 'sql.join()');
  if (typeof separator !== 'string')
    throw new QueryError('The separator of sql.join()', 'is no string', "Give a text, say ' AND '.");
  // A string among them would be taken for text by its writer, and for a value here.
  const index = fragments.findIndex((fragment) => !isFragment(fragment));
  if (index !== -1) {
    const remedy = 'Make it with sql`…`; values go into sql.list().';
    throw new QueryError(`Item ${index + 1} of sql.join()`, 'is no fragment', remedy, index + 1);
  }
  return together(fragments, separator, 'of sql.join()');
}

function raw(text: string): SqlQuery {
  if (typeof text !== 'string')
    throw new QueryError('What sql.raw() was given', 'is no string', 'A value goes into the template as it is.');
  return new SqlQuery(text, []);
}

function checkArray(items: unknown, what: string): void {
  if (!Array.isArray(items))
    throw new QueryError(`What ${what} was given`, 'is no array', 'Spread it into one: [...items].');
}

/**
 * Makes a query of a template. Each `${…}` is a value, and bound; or a fragment: another `` sql`…` ``, a name from `sql.id`, a list from
 * `sql.list`. Anything else is refused where it stands.
 *
 * @throws QueryError
 */
export const sql: SqlTag = Object.freeze(
  Object.assign(tag, { id, list, values: valuesOf, join, raw, empty: new SqlQuery('', []) }),
) as SqlTag;
