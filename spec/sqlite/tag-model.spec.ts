import test from 'ava';
import * as fc from 'fast-check';
import { type SqlPart, type SqlValue, sql } from '../../lib/index.ts';
import { temporaryPool } from '../support/sqlite.ts';

/** A part of a query, and what it must come to: its text, what is bound, and the columns that SQLite answers with. */
interface Part {
  readonly part: SqlPart;
  readonly text: string;
  readonly bound: readonly SqlValue[];
  readonly columns: readonly unknown[];
}

const name = 'a "name", \'quoted\' ? -- so';

/** One part made of several, whose columns come after each other. */
function made(part: SqlPart, parts: readonly Part[], text: (texts: string[]) => string, own: unknown[] = []): Part {
  return {
    part,
    text: text(parts.map((each) => each.text)),
    bound: parts.flatMap(({ bound }) => bound),
    columns: [...own, ...parts.flatMap(({ columns }) => columns)],
  };
}

function value(bound: SqlValue, column: unknown = bound): Part {
  return { part: bound, text: '?', bound: [bound], columns: [column] };
}

const simple: fc.Arbitrary<Part> = fc.oneof(
  fc.string({ unit: 'binary' }).map((text) => value(text)),
  // Without -0, which SQLite keeps in some places and not in others.
  fc.double({ noNaN: true }).map((number) => value(number + 0)),
  fc.maxSafeInteger().map((number) => value(BigInt(number), number)),
  fc.uint8Array({ maxLength: 8 }).map((bytes) => value(bytes, Buffer.from(bytes))),
  fc.constant(value(null)),
  fc.constant<Part>({ part: sql.raw("'?''$1'"), text: "'?''$1'", bound: [], columns: ["?'$1"] }),
);

const quotedName = `"${name.replaceAll('"', '""')}"`;
const column: Part = { part: sql.id('c', name), text: `"c".${quotedName}`, bound: [], columns: [42] };

// Few places, so that each template meets values and fragments by turns.
const single = ({ part }: Part) => sql`${part}`;
const pair = (first: Part, second: Part) => sql`${first.part}, ${second.part}`;
const beside = (first: Part, second: Part) => sql`'it''s ?', ${first.part} /* ? ' */ , -- "
  ${second.part}`;

const { tree } = fc.letrec<{ tree: Part; branch: Part }>((tie) => ({
  tree: fc.oneof({ maxDepth: 4, withCrossShrink: true }, simple, fc.constant(column), tie('branch')),
  branch: fc.oneof(
    tie('tree').map((one) => made(single(one), [one], ([text]) => `${text}`)),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => made(pair(a, b), [a, b], (texts) => texts.join(', '))),
    fc
      .tuple(tie('tree'), tie('tree'))
      .map(([a, b]) => made(beside(a, b), [a, b], ([x, y]) => `'it''s ?', ${x} /* ? ' */ , -- "\n  ${y}`, ["it's ?"])),
    fc
      .array(tie('tree'), { minLength: 1, maxLength: 5 })
      .map((parts) => made(sql.list(parts.map(({ part }) => part)), parts, (texts) => texts.join(', '))),
    fc
      .array(tie('tree'), { minLength: 1, maxLength: 5 })
      .map((parts) => made(sql.join(parts.map(single), ' , /* ? */ '), parts, (texts) => texts.join(' , /* ? */ '))),
  ),
}));

test('whatever is put together, SQLite gets the values in the order in which they stand', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const property = fc.asyncProperty(tree, async ({ part, text, bound, columns }) => {
    const query = sql<Record<string, unknown>>`SELECT * FROM (SELECT ${part} FROM (SELECT 42 AS ${sql.id(name)}) AS c)`;
    t.is(query.sql, `SELECT * FROM (SELECT ${text} FROM (SELECT 42 AS ${quotedName}) AS c)`);
    t.deepEqual(query.values, bound);
    t.deepEqual(Object.values((await pool.get(query)) ?? {}), columns);
  });
  await fc.assert(property, { numRuns: 300 });
});

test('rows are read back as they were given to sql.values', async (t) => {
  const pool = temporaryPool(t, { max: 1 });
  const rows = fc
    .integer({ min: 1, max: 4 })
    .chain((width) =>
      fc.array(fc.array(simple, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 5 }),
    );
  const property = fc.asyncProperty(rows, async (table) => {
    const values = sql.values(table.map((row) => row.map(({ part }) => part)));
    const found = await pool.all<Record<string, unknown>>(sql`VALUES ${values}`);
    t.deepEqual(
      found.map((row) => Object.values(row)),
      table.map((row) => row.flatMap(({ columns }) => columns)),
    );
  });
  await fc.assert(property, { numRuns: 100 });
});
