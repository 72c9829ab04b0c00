import { formatCount } from '../wording.ts';
import { QueryError, SqlQuery, tokenPattern } from './tag.ts';

/** Values for the parameters of a statement: by position, or by name. */
export type BindValues = readonly unknown[] | Readonly<Record<string, unknown>>;

/**
 * A query as other libraries make them: its text as `sql` or `text`, the first of these that it has; and its values. Text with
 * `?` or `$1` takes an array of values, text with `:name` an object.
 */
export type QueryObject = ({ readonly sql: string } | { readonly text: string }) & {
  readonly [Name in (typeof valueNames)[number]]?: BindValues | undefined;
};

/** What to run: the text, and what is bound to its parameters. */
export interface BoundSql {
  readonly sql: string;
  readonly values: BindValues | undefined;
}

// Those of sql-template-tag, slonik, @nearform/sql and pg; of Drizzle; of Kysely; of Knex; of libSQL.
const valueNames = ['values', 'params', 'parameters', 'bindings', 'args'] as const;

const accepted =
  'A query is a string, sql`…`, or an object with its text as sql or text, and its values as values, params, parameters, bindings or args.';

/**
 * Reads a query object, by its properties, because the classes of other libraries are not known here.
 * @throws QueryError
 */
export function readQuery(query: object): BoundSql {
  if (SqlQuery.made(query)) return query;
  // First, because a builder may have a text as well, in a language of its own: that of a `knex.raw` has `??` in it.
  for (const method of ['toSQL', 'compile']) {
    if (typeof Reflect.get(query, method) === 'function') {
      throw new QueryError('What is to be run', 'is a query builder', `Give what its ${method}() returns.`);
    }
  }
  const text = first(query, ['sql', 'text'], (found) => typeof found === 'string') as string | undefined;
  if (text === undefined) throw new QueryError('What is to be run', 'is no query', accepted);
  const values = first(query, valueNames, (found) => typeof found === 'object' && found !== null) as
    | BindValues
    | undefined;
  return { sql: text, values: Array.isArray(values) ? byNumber(text, values) : values };
}

/** The first property that will do. No other is looked at: it may be a getter that makes the text of another database. */
function first(query: object, names: readonly string[], accepts: (found: unknown) => boolean): unknown {
  for (const name of names) {
    const found: unknown = Reflect.get(query, name);
    if (accepts(found)) return found;
  }
  return undefined;
}

const mayBeNumbered = /[$:@]|\?\d/;
// Slonik numbers its parameters so.
const numbered = /^[?$:@]((?:slonik_)?([1-9]\d*))$/;

/** Values for `$1`, which SQLite takes for a name: of the parameters that have one, each is bound once, however often it is used. */
function byNumber(text: string, values: readonly unknown[]): BindValues {
  if (!mayBeNumbered.test(text)) return values;
  const named: Record<string, unknown> = {};
  let highest = 0;
  let positional = 0;
  for (const [token] of text.matchAll(tokenPattern)) {
    const [, name, number] = numbered.exec(token) ?? [];
    if (name !== undefined) {
      highest = Math.max(highest, Number(number));
      named[name] = values[Number(number) - 1];
    } else if (token === '?') positional++;
  }
  if (highest === 0) return values;
  if (positional > 0) {
    throw new QueryError('The text of the query', 'has both ? and numbered parameters', 'Use one of them throughout.');
  }
  // By name, better-sqlite3 would bind NULL for what is missing, and ignore what is too much.
  if (highest !== values.length) {
    const problem = `has ${formatCount(highest, 'numbered parameter')} and ${formatCount(values.length, 'value')}`;
    throw new QueryError('The query', problem, 'Give one value for each number.');
  }
  return named;
}
