import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { runEnterings } from './support/entering.ts';
import { temporaryDirectory } from './support/files.ts';
import { settled } from './support/gate.ts';
import { Enough, insert, namesIn, openItems, refusal } from './support/items.ts';
import { temporaryPool } from './support/sqlite.ts';

// Where `run` leads to is told by `pool.run` in it: on whatever connection, in whatever transaction that finds.
const insertInto = (name: string) => `INSERT INTO item VALUES ('${name}')`;

test('from outside it leads into the transaction, from inside it leaves the caller where he is', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  await tx.run(async () => {
    const db = pool.current;
    t.not(db, undefined);
    await tx.run(async (same) => {
      t.true(same === db);
      t.is(pool.current, db);
      await pool.run(insertInto('inside'));
    });
  });
  await pool.withConnection(async (other) => {
    await tx.run(async () => {
      t.not(pool.current, other);
      await pool.run(insertInto('from elsewhere'));
    });
    t.is(pool.current, other);
  });
  await tx.rollback();
  t.deepEqual(await namesIn(pool), []);
});

test('from a part of it, it leads into that part', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  await tx.run(async () => {
    const failed = pool.transaction(async () => {
      await tx.run(() => pool.run(insertInto('lost with the part')));
      throw new Enough();
    });
    await t.throwsAsync(failed, { instanceOf: Enough });
    const part = await pool.openTransaction().begun;
    await part.run(() => tx.run(() => pool.run(insertInto('kept with the part'))));
    await part.commit();
  });
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['kept with the part']);
});

test('from another branch it does not slip into a part that is open', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  const part = await tx.run(() => pool.openTransaction()).begun;
  await t.throwsAsync(
    tx.run(() => pool.run(insertInto('refused'))),
    refusal('TRANSACTION_BUSY'),
  );
  await part.rollback();
  await tx.run(() => pool.run(insertInto('kept')));
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['kept']);
});

test('from a part that has ended it leads nowhere', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  const part = await tx.run(() => pool.openTransaction()).begun;
  const left = part.run(async () => {
    await settled();
    await settled();
    await t.throwsAsync(
      tx.run(() => pool.run(insertInto('late'))),
      refusal('TRANSACTION_ENDED'),
    );
  });
  await part.commit();
  await left;
  await tx.commit();
  t.deepEqual(await namesIn(pool), []);
});

test('from another connection inside of it, it leads back', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  const insertBack = (name: string) => tx.run(() => pool.run(insertInto(name)));
  await tx.run(async () => {
    await pool.withConnection(() => insertBack('withConnection'), { fresh: true });
    await pool.withScope(() => insertBack('withScope'), { fresh: true });
    const scope = pool.openScope();
    await scope.run(() => insertBack('openScope'));
    await scope.run(() => pool.connection());
    await scope.run(() => insertBack('openScope with a connection'));
    await scope.end();
    await pool.read(() => insertBack('separate'), { nesting: 'separate' });
  });
  t.is((await tx.run(() => namesIn(pool))).length, 5);
  await tx.rollback();
  t.deepEqual(await namesIn(pool), []);
});

test('and from one inside a part, back into the part', async (t) => {
  const pool = await openItems(t);
  const tx = await pool.openTransaction().begun;
  const part = await tx.run(() => pool.openTransaction()).begun;
  await part.run(() => pool.read(() => tx.run(() => pool.run(insertInto('in the part'))), { nesting: 'separate' }));
  await part.rollback();
  await tx.commit();
  t.deepEqual(await namesIn(pool), []);
});

test('from a transaction of another pool it leads into this one, and leaves the other around it', async (t) => {
  const [pool, other] = [await openItems(t), await openItems(t)];
  const tx = await pool.openTransaction().begun;
  await other.transaction(async () => {
    await tx.run(() => pool.run(insertInto('kept')));
    await other.run(insertInto('kept'));
  });
  await tx.run(() =>
    other.transaction(async () => {
      await tx.run(async () => {
        await pool.run(insertInto('from inside'));
        await other.run(insertInto('both'));
      });
    }),
  );
  await tx.commit();
  t.deepEqual(await namesIn(pool), ['kept', 'from inside']);
  t.deepEqual(await namesIn(other), ['kept', 'both']);
});

test('from another transaction of the same pool it leads out of that, and into this one', async (t) => {
  const pool = await openItems(t);
  const snapshot = await pool.openTransaction({ mode: 'read' }).begun;
  const tx = await pool.openTransaction().begun;
  await snapshot.run(async () => {
    await tx.run(() => pool.run(insertInto('written')));
    t.deepEqual(await namesIn(pool), []);
    t.deepEqual(await tx.run(() => namesIn(pool)), ['written']);
  });
  await tx.run(async () => {
    t.deepEqual(await snapshot.run(() => namesIn(pool)), []);
  });
  await tx.commit();
  await snapshot.commit();
});

test('on the connection of a scope others of that scope keep out until it has ended', async (t) => {
  const pool = await openItems(t);
  await pool.withConnection(async (db) => {
    const tx = await pool.openTransaction().begun;
    t.is(
      tx.run((same) => same),
      db,
    );
    t.throws(() => insert(db, 'refused'), refusal('TRANSACTION_BUSY'));
    await t.throwsAsync(pool.run(insertInto('refused')), refusal('TRANSACTION_BUSY'));
    await tx.run(() => pool.run(insertInto('kept')));
    await tx.commit();
    insert(db, 'after');
  });
  t.deepEqual(await namesIn(pool), ['kept', 'after']);
});

test('functions that run in it at the same time share it', async (t) => {
  const pool = temporaryPool(t);
  await pool.run('CREATE TABLE item (name TEXT)');
  const tx = await pool.openTransaction().begun;
  await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      tx.run(async () => {
        await settled();
        await pool.run(insertInto(name));
      }),
    ),
  );
  await tx.commit();
  t.deepEqual((await namesIn(pool)).toSorted(), ['a', 'b', 'c']);
});

test('what is run in it from inside a transaction of another pool can not write into that by mistake', async (t) => {
  const [one, other] = [await openItems(t), await openItems(t)];
  const open = await one.openTransaction().begun;
  await other.transaction(async () => {
    await other.run(insertInto('bolt'));
    await t.throwsAsync(
      open.run(() => other.run(insertInto('bolt'))),
      refusal('TRANSACTION_BUSY'),
    );
    await open.run(() => one.run(insertInto('bolt')));
  });
  await open.commit();
  t.deepEqual([await namesIn(one), await namesIn(other)], [['bolt'], ['bolt']]);
});

const expected: Record<string, unknown[]> = {
  'the callback is inside, and its caller is not': [
    ['before', false],
    ['in the callback', true, 1, 'a,b'],
    ['meanwhile', false, '', false],
    ['after', 'result', false, 'a,b'],
  ],
  'of two at once each is in its own, and their caller in none': [false, ['a', 'a,b'], false, 'a,b'],
  'one that nobody waits for leaves its caller outside': [false, false, true, false, 'a'],
  'what is left over of the callback is refused, and does not commit by itself': [
    'TRANSACTION_ENDED,TRANSACTION_ENDED,TRANSACTION_ENDED',
    'kept',
  ],
  'a callback that throws is rolled back, and what its library still does refused': ['ENOUGH', false, ''],
  'to enter when it has begun does the same': [true, false, 'a'],
  'without it the callback stays outside': [false, ''],
  'in a library inside another on the same pool it is a part': [true, 1, true, false, 'a,b,c'],
  'libraries on two pools nest, each in its own': [
    ['in both', true, true],
    ['after a part', true, true],
    ['after the inner one', true, false],
    ['after', false, false, 'a,b,d', 'c'],
  ],
  'a caller in a scope keeps that, and his transaction its scope': [
    ['in the callback', true],
    ['after', true, false],
    ['on the connection of the scope', true, true],
    ['after that', true, false],
  ],
  'inside transaction() it is a part, after which the caller is where he was': [true, true, 'a,b'],
  'where it does not begin the callback is not called, and nobody is inside': ['WRITE_TIMEOUT', false, '', 0],
};

test('what enters is inside from then on, and nobody else', async (t) => {
  const directory = temporaryDirectory(t);
  t.deepEqual(await runEnterings((name) => join(directory, name)), expected);
});

// How Node.js up to 22 carries contexts, and 24 on request.
const hooks = '--no-async-context-frame';

if (process.allowedNodeEnvironmentFlags.has('--async-context-frame')) {
  test('the same where contexts are carried by hooks', async (t) => {
    const directory = join(temporaryDirectory(t), 'hooks');
    mkdirSync(directory);
    const program = fileURLToPath(new URL(`support/entering${extname(import.meta.url)}`, import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [hooks, program, directory]);
    t.deepEqual(JSON.parse(stdout), expected);
  });
}
