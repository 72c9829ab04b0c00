import Database from 'better-sqlite3';
import type { SqlitePoolOptions } from '../../lib/index.ts';

type DatabaseClass = NonNullable<SqlitePoolOptions['Database']>;

/** A subclass of better-sqlite3's class that counts its connections and tells what is called on them. */
export function countingClass() {
  let opened = 0;
  const open = new Set<object>();
  const calls: string[] = [];
  const traced: unknown[] = [];
  class CountingDatabase extends Database {
    constructor(file: string, options?: Database.Options) {
      super(file, { ...options, verbose: (sql) => traced.push(sql) });
      opened++;
      open.add(this);
    }

    override prepare(sql: string): never {
      calls.push(`prepare ${sql}`);
      return super.prepare(sql) as never;
    }

    override exec(sql: string): this {
      calls.push(`exec ${sql}`);
      return super.exec(sql);
    }

    override close(): this {
      open.delete(this);
      return super.close();
    }
  }
  return { Database: CountingDatabase as DatabaseClass, opened: () => opened, open: () => open.size, calls, traced };
}

type Members = Record<string, (...args: unknown[]) => unknown>;

/**
 * A class that only has better-sqlite3's API: its connections, statements and iterators are objects of its own, which pass
 * each call on. What passes through is told by name.
 */
export function wrapperClass() {
  let opened = 0;
  const open = new Set<object>();
  const used = new Set<string>();

  /** Gives `wrapper` every method and property of `inner`; what returns `inner` returns the wrapper. */
  function passOn(
    kind: string,
    wrapper: object,
    inner: object,
    wrap?: readonly [method: string, by: (result: never) => object],
  ) {
    const names = new Set<string | symbol>(Reflect.ownKeys(inner));
    for (const name of Reflect.ownKeys(Object.getPrototypeOf(inner) as object)) names.add(name);
    names.delete('constructor');
    for (const name of names) {
      const value: unknown = Reflect.get(inner, name);
      const isMethod = typeof value === 'function';
      const call = (...args: unknown[]) => {
        used.add(`${kind}.${String(name)}`);
        const result = (inner as Members)[String(name)]?.(...args);
        if (result === inner) return wrapper;
        return wrap?.[0] === name ? wrap[1](result as never) : result;
      };
      const read = () => {
        used.add(`${kind}.${String(name)}`);
        return Reflect.get(inner, name) as unknown;
      };
      const own = name === Symbol.iterator ? { value: () => wrapper } : isMethod ? { value: call } : { get: read };
      Object.defineProperty(wrapper, name, { ...own, configurable: true });
    }
  }

  const iteratorOf = (inner: object) => {
    const iterator = {};
    passOn('Iterator', iterator, inner);
    return iterator;
  };

  const statementOf = (database: object) => (inner: object) => {
    const statement = {};
    passOn('Statement', statement, inner, ['iterate', iteratorOf]);
    return Object.defineProperty(statement, 'database', { value: database });
  };

  // oxlint-disable-next-line typescript/no-extraneous-class -- a pool opens its connections by `new`
  class Wrapper {
    constructor(file: string, options?: Database.Options) {
      const inner = new Database(file, options);
      opened++;
      open.add(this);
      passOn('Database', this, inner, ['prepare', statementOf(this)]);
      const close = () => {
        used.add('Database.close');
        open.delete(this);
        inner.close();
        return this;
      };
      Object.defineProperty(this, 'close', { value: close });
    }
  }
  return { Database: Wrapper as unknown as DatabaseClass, opened: () => opened, open: () => open.size, used };
}
