import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';
import { compare, errorsOf, loosely, temporaryPool, wrong } from '../support/sqlite.ts';

test('function registers a function, and returns the handle', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.function('twice', (x) => x * 2));
    step(() => db.prepare('SELECT twice(21) AS answer').get());
    step(() => db.prepare('SELECT twice(1, 2)').get());
    step(() => db.function('spread', { varargs: true }, (...values) => values.length));
    step(() => db.prepare('SELECT spread(), spread(1), spread(1, 2, 3)').raw().get());
    step(() => db.function('big', { safeIntegers: true }, (x) => typeof x));
    step(() => db.prepare('SELECT big(1), big(1.5), big(NULL)').raw().get());
    step(() => db.function('steady', { deterministic: true }, () => 7));
    step(() => db.exec('CREATE INDEX by_steady ON item (name, steady())'));
    step(() => db.function('fickle', () => 7));
    step(() => db.exec('CREATE INDEX by_fickle ON item (name, fickle())'));
    step(() => db.function('direct', { directOnly: true }, () => 7));
    step(() => db.exec('CREATE VIEW indirect AS SELECT direct() AS seven'));
    step(() => db.prepare('SELECT direct()').pluck().get());
    step(() => db.prepare('SELECT * FROM indirect').get());
    step(() => db.function('twice', (x) => x * 3));
    step(() => db.prepare('SELECT twice(21)').pluck().get());
  });
  t.deepEqual(outcomes.at(1), { returned: { answer: 42 } });
  t.is(errorsOf(outcomes), 3);
});

test('an error thrown by a function passes through unchanged', async (t) => {
  const error = new RangeError('from within');
  const outcomes = await compare(t, ({ db, step }) => {
    db.function('fail', () => {
      throw error;
    });
    let caught: unknown;
    try {
      db.prepare('SELECT fail()').get();
    } catch (reason) {
      caught = reason;
    }
    step(() => caught === error);
    step(() => db.prepare('SELECT fail()').all());
    step(() => db.exec('SELECT fail()'));
    step(() => [...db.prepare('SELECT fail() FROM item').iterate()]);
    step(() => db.prepare('SELECT count(*) FROM item').pluck().get());
    db.function('odd', () => ({}));
    step(() => db.prepare('SELECT odd()').get());
  });
  t.deepEqual(outcomes[0], { returned: true });
  t.is(errorsOf(outcomes), 4);
});

test('within a function its own connection is busy', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const calls: (() => unknown)[] = [
      () => db.prepare('SELECT 1').get(),
      () => db.prepare('SELECT 1').pluck().get(),
      () => db.exec('SELECT 1'),
      () => db.pragma('user_version'),
      () => db.transaction(() => 1)(),
      () => db.function('another', () => 1),
      () => db.serialize(),
    ];
    db.function('attempt', (index) => {
      step(() => calls[index]?.());
      return index;
    });
    // Kept before, so that preparing it again is not what fails.
    db.prepare('SELECT 1').get();
    for (const index of calls.keys()) step(() => db.prepare('SELECT attempt(?)').pluck().get(index));
  });
  t.is(errorsOf(outcomes), 7);
});

test('function checks its arguments', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const attempts: unknown[][] = [
      [],
      ['name'],
      ['name', {}],
      ['name', null, null],
      ['', () => 1],
      [1, () => 1],
      ['name', 'options', () => 1],
      ['name', { varargs: 1 }, () => 1],
      ['name', { safeIntegers: 'yes' }, () => 1],
      ['name', { deterministic: null }, () => 1],
      ['name', { directOnly: 0 }, () => 1],
      ['name', () => 1, () => 2],
    ];
    for (const attempt of attempts) step(() => loosely(db, 'function', attempt));
    const long = Object.defineProperty(() => 1, 'length', { value: 101 });
    step(() => db.function('long', long));
    step(() => db.function('long', { varargs: true }, long));
    step(() => db.prepare('SELECT name()').get());
  });
  t.is(errorsOf(outcomes), 12);
});

test('aggregate registers an aggregate, also for windows', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.aggregate('total_of', { start: 0, step: (total: number, next: number) => total + next }));
    step(() => db.prepare('SELECT total_of(id) FROM item').pluck().get());
    step(() => db.prepare('SELECT total_of(id) FROM item WHERE id > 9').pluck().get());
    step(() => db.prepare('SELECT total_of(id) OVER (ORDER BY id) FROM item').pluck().all());
    step(() =>
      db.aggregate('window_of', {
        start: () => [] as number[],
        step: (seen: number[], next: number) => [...seen, next],
        inverse: (seen: number[], dropped: number) => seen.filter((value: number) => !Object.is(value, dropped)),
        result: (seen: number[]) => seen.join('+'),
      } as never),
    );
    step(() => db.prepare('SELECT window_of(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM item').pluck().all());
    step(() => db.aggregate('no_return', { start: 5, step: (_total: number, _next: number) => {} }));
    step(() => db.prepare('SELECT no_return(id) FROM item').pluck().get());
    const attempts: unknown[][] = [
      [],
      ['name'],
      ['name', null],
      ['name', () => 1],
      ['', { step: () => 1 }],
      [7, { step: () => 1 }],
      ['name', {}],
      ['name', { step: 1 }],
      ['name', { step: () => 1, inverse: 1 }],
      ['name', { step: () => 1, result: 'x' }],
      ['name', { step: () => 1, varargs: 1 }],
    ];
    for (const attempt of attempts) step(() => loosely(db, 'aggregate', attempt));
  });
  t.deepEqual(outcomes.at(1), { returned: 6 });
  t.deepEqual(outcomes.at(5), { returned: ['1', '1+2', '2+3'] });
  t.is(errorsOf(outcomes), 12);
});

test('table registers a virtual table, by definition or by factory', async (t) => {
  const outcomes = await compare(t, ({ db, step }) => {
    const numbers = {
      columns: ['value'],
      parameters: ['first', 'last'],
      *rows(first: unknown, last: unknown) {
        for (let value = Number(first); value <= Number(last); value++) yield { value };
      },
    };
    step(() => db.table('numbers', numbers as never));
    step(() => db.prepare('SELECT value FROM numbers(2, 4)').all());
    step(() =>
      db.table(
        'lines',
        wrong((text: unknown) => ({
          columns: ['line'],
          *rows() {
            yield [text];
          },
        })),
      ),
    );
    step(() => db.exec('CREATE VIRTUAL TABLE greeting USING lines(hello)'));
    step(() => db.prepare('SELECT * FROM greeting').all());
    step(() =>
      db.table('bad_rows', {
        columns: ['a'],
        *rows() {
          yield { b: 1 };
        },
      }),
    );
    step(() => db.prepare('SELECT * FROM bad_rows').all());
    step(() =>
      db.table('failing', {
        columns: ['a'],
        *rows() {
          yield [1];
          throw new Error('half way');
        },
      }),
    );
    step(() => db.prepare('SELECT * FROM failing').all());
    const attempts: unknown[][] = [
      [],
      ['name'],
      ['name', null],
      ['', {}],
      [1, {}],
      ['name', {}],
      ['name', { columns: ['a'] }],
      ['name', { columns: ['a'], rows: () => [] }],
      ['name', { columns: 'a', *rows() {} }],
      ['name', { columns: ['a', 'a'], *rows() {} }],
      ['name', { columns: [], *rows() {} }],
    ];
    for (const attempt of attempts) step(() => loosely(db, 'table', attempt));
  });
  t.deepEqual(outcomes.at(1), { returned: [{ value: 2 }, { value: 3 }, { value: 4 }] });
  t.is(errorsOf(outcomes), 13);
});

test('loadExtension checks its arguments, and says what it could not load', async (t) => {
  const outcomes = await compare(t, ({ db, directory, step }) => {
    const attempts: unknown[][] = [
      [],
      [1],
      [null],
      [`${directory}/missing`],
      [`${directory}/missing`, 'entry'],
      ['', 7],
    ];
    for (const attempt of attempts) {
      step(() => loosely(db, 'loadExtension', attempt));
    }
  });
  t.is(errorsOf(outcomes), 6);
});

test('loadExtension loads an extension, for its own lease alone', async (t) => {
  const extension = compileExtension(t);
  if (extension === undefined) return;
  const outcomes = await compare(t, ({ db, step }) => {
    step(() => db.prepare('SELECT testExtensionFunction(1, 2)').get());
    step(() => loosely(db, 'loadExtension', [extension]) === db);
    step(() => db.prepare('SELECT testExtensionFunction(1, 2)').pluck().get());
  });
  t.deepEqual(outcomes.at(-1), { returned: 2 });

  const pool = temporaryPool(t, { max: 1 });
  const traces: (readonly string[])[] = [];
  pool.on('dirty', (event) => void traces.push(event.traces));
  await pool.withConnection((db) => db.loadExtension(extension));
  await t.throwsAsync(pool.get('SELECT testExtensionFunction()'), {
    message: 'no such function: testExtensionFunction',
  });
  t.deepEqual(traces, [['extension']]);
});

/** The extension better-sqlite3 brings along for its own tests; `undefined` where there is no C compiler. */
function compileExtension(t: ExecutionContext): string | undefined {
  const sources = join(dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json')), 'deps');
  const file = join(temporaryDirectory(t), 'extension.so');
  try {
    execFileSync('cc', [
      '-shared',
      '-fPIC',
      '-I',
      join(sources, 'sqlite3'),
      '-o',
      file,
      join(sources, 'test_extension.c'),
    ]);
    return file;
  } catch (error) {
    t.log('Skipped: no extension could be compiled here.', (error as Error).message);
    t.pass();
    return undefined;
  }
}
