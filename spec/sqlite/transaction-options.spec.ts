import test from 'ava';
import type Database from 'better-sqlite3';
import { expectTypeOf } from 'expect-type';
import {
  type LeasedDatabase,
  OptionsError,
  type ReadOptions,
  type SqlitePool,
  type TransactionMode,
  type TransactionOptions,
} from '../../lib/index.ts';
import { temporaryPool, wrong } from '../support/sqlite.ts';

const refused: Record<string, { readonly allowed: RegExp; readonly values: readonly unknown[] }> = {
  mode: {
    allowed: /'immediate' or 'deferred' or 'exclusive'/,
    values: ['read', 'IMMEDIATE', '', null, 1, ['deferred']],
  },
  nesting: { allowed: /savepoint.*join.*separate/, values: ['nested', 'Join', '', null, true] },
  retries: { allowed: /integer from 0/, values: [-1, 1.5, NaN, Infinity, '1', null, true] },
  timeout: { allowed: /.+/, values: [0, -1, NaN, '10', null] },
  label: { allowed: /.+/, values: [1, null, {}] },
  priority: { allowed: /.+/, values: ['high', NaN, null] },
  signal: { allowed: /.+/, values: [{}, null, new AbortController()] },
};

for (const [option, { allowed, values }] of Object.entries(refused)) {
  test(`${option} is refused where it is out of bounds`, async (t) => {
    const pool = temporaryPool(t);
    const onlyOfTransaction = option === 'mode' || option === 'retries';
    for (const value of values) {
      const calls = [
        () => pool.transaction(() => t.fail(), wrong({ [option]: value })),
        ...(onlyOfTransaction ? [] : [() => pool.read(() => t.fail(), wrong({ [option]: value }))]),
      ];
      for (const call of calls) {
        const error = await t.throwsAsync<OptionsError>(call, { instanceOf: OptionsError }, String(value));
        t.like(error, { code: 'ERR_LEASEHOLD_OPTIONS', option });
        t.is(error?.value, value);
        t.regex(error?.allowed ?? '', allowed);
      }
    }
    t.is(pool.stats().size, 0, 'Nothing was opened');
  });
}

test('an unknown option is refused, and a misspelt one guessed', async (t) => {
  const pool = temporaryPool(t);
  const guesses = { mod: 'mode', retires: 'retries', Nesting: 'nesting', timeOut: 'timeout', lable: 'label' };
  for (const [given, meant] of Object.entries(guesses)) {
    const error = await t.throwsAsync<OptionsError>(() => pool.transaction(() => t.fail(), wrong({ [given]: 1 })), {
      instanceOf: OptionsError,
    });
    t.is(error?.option, given);
    t.regex(error?.message ?? '', new RegExp(`Did you mean "${meant}"`));
  }
  for (const option of ['isolation', 'readonly', 'write', 'fresh']) {
    await t.throwsAsync(() => pool.transaction(() => t.fail(), wrong({ [option]: true })), {
      instanceOf: OptionsError,
    });
    await t.throwsAsync(() => pool.read(() => t.fail(), wrong({ [option]: true })), { instanceOf: OptionsError });
  }
  for (const option of ['mode', 'retries']) {
    await t.throwsAsync(() => pool.read(() => t.fail(), wrong({ [option]: undefined })), { instanceOf: OptionsError });
  }
});

test('options that are no object are refused', async (t) => {
  const pool = temporaryPool(t);
  for (const options of [null, 'immediate', 1, ['immediate'], () => {}]) {
    await t.throwsAsync(() => pool.transaction(() => t.fail(), wrong(options)), { instanceOf: OptionsError });
    await t.throwsAsync(() => pool.read(() => t.fail(), wrong(options)), { instanceOf: OptionsError });
  }
});

test('options that are undefined count as absent', async (t) => {
  const pool = temporaryPool(t);
  const absent = {
    mode: undefined,
    nesting: undefined,
    retries: undefined,
    label: undefined,
    timeout: undefined,
    signal: undefined,
    priority: undefined,
  };
  t.is(await pool.transaction(() => 'ran', absent), 'ran');
  t.is(await pool.transaction(() => 'ran', undefined), 'ran');
  t.is(await pool.read(() => 'ran', { label: undefined }), 'ran');
  t.is(await pool.transaction(() => 'ran', { timeout: Infinity, retries: 0 }), 'ran');
});

test('what is no function is refused as a rejection', async (t) => {
  const pool = temporaryPool(t);
  for (const fn of [undefined, null, 'BEGIN', {}, Promise.resolve()]) {
    const transaction = pool.transaction(wrong(fn));
    t.like(await t.throwsAsync(transaction, { instanceOf: OptionsError }), { option: 'fn', value: fn });
    const read = pool.read(wrong(fn));
    t.like(await t.throwsAsync(read, { instanceOf: OptionsError }), { option: 'fn', value: fn });
  }
});

test('the types of a transaction follow from its function', async (t) => {
  const pool = temporaryPool(t);
  const numbers = pool.transaction(async (tx) => {
    expectTypeOf(tx).toEqualTypeOf<LeasedDatabase>();
    return [1, 2];
  });
  expectTypeOf(numbers).toEqualTypeOf<Promise<number[]>>();
  t.deepEqual(await numbers, [1, 2]);
  const text = pool.transaction((tx) => tx.name);
  expectTypeOf(text).toEqualTypeOf<Promise<string>>();
  t.is(await text, pool.db.name);
  const nothing = pool.transaction(() => {});
  expectTypeOf(nothing).toEqualTypeOf<Promise<void>>();
  await nothing;
  const nested = pool.transaction(() => pool.transaction(async () => true as const));
  expectTypeOf(nested).toEqualTypeOf<Promise<true>>();
  t.true(await nested);
  const read = pool.read((db) => {
    expectTypeOf(db).toEqualTypeOf<LeasedDatabase>();
    return Promise.resolve(7n);
  });
  expectTypeOf(read).toEqualTypeOf<Promise<bigint>>();
  t.is(await read, 7n);
});

test('a transaction function keeps the type of its function', async (t) => {
  const pool = temporaryPool(t);
  await using db = await pool.acquire();
  const add = db.transaction(async (a: number, b: number) => `${a + b}`);
  expectTypeOf(add).toEqualTypeOf<Database.Transaction<(a: number, b: number) => Promise<string>>>();
  expectTypeOf(add).parameters.toEqualTypeOf<[a: number, b: number]>();
  expectTypeOf(add.deferred).returns.toEqualTypeOf<Promise<string>>();
  t.is(await add(1, 2), '3');
});

test('the types of the options allow what is allowed', (t) => {
  expectTypeOf<Parameters<SqlitePool['transaction']>[1]>().toEqualTypeOf<TransactionOptions | undefined>();
  expectTypeOf<Parameters<SqlitePool['read']>[1]>().toEqualTypeOf<ReadOptions | undefined>();
  expectTypeOf<TransactionMode>().toEqualTypeOf<'deferred' | 'immediate' | 'exclusive'>();
  expectTypeOf<TransactionOptions['mode']>().toEqualTypeOf<TransactionMode | undefined>();
  expectTypeOf<ReadOptions>().not.toHaveProperty('mode');
  expectTypeOf<ReadOptions>().not.toHaveProperty('retries');
  t.pass();
});
