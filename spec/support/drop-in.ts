import { compare, loosely, type Outcome, type Script, type Subject } from './sqlite.ts';

// Tables of cases for specs that run the same calls on better-sqlite3's own handle, a leased handle and `pool.db`.

/** Values of every kind, for places where better-sqlite3 takes some and refuses others. */
export const kinds: readonly (readonly [name: string, value: unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['0', 0],
  ['1', 1],
  ['-1', -1],
  ['NaN', NaN],
  ['1.5', 1.5],
  ['1n', 1n],
  ['true', true],
  ['false', false],
  ["''", ''],
  ["'text'", 'text'],
  ['a symbol', Symbol('s')],
  ['{}', {}],
  ['[]', []],
  ['a function', () => 1],
  ['a Date', new Date(0)],
  ['a RegExp', /x/],
  ['a Buffer', Buffer.from('x')],
  ['a String', new String('SELECT 1')],
  ['a Number', new Number(1)],
  ['an object without prototype', Object.create(null)],
  ['a Map', new Map()],
  ['a promise', Promise.resolve()],
];

/** Makes a call with its name before it in the record, so that a difference tells where it is. */
export function tell({ step }: Subject, name: string, call: () => unknown): void {
  step(() => `-- ${name}`);
  step(call);
}

/** Calls a method of the handle, or of what `on` makes of it, with each list of arguments. */
export function calling(
  method: string,
  lists: readonly (readonly [name: string, ...args: unknown[]])[],
  on: (subject: Subject) => object = ({ db }) => db,
): Script {
  return (subject) => {
    for (const [name, ...args] of lists) {
      tell(subject, `${method}(${name})`, () => loosely(on(subject), method, args));
    }
  };
}

/** Lists of arguments: none, and `before` followed by each of the kinds. */
export function eachKind(...before: unknown[]): [name: string, ...args: unknown[]][] {
  const prefix = before.map((value) => `${String(value)}, `).join('');
  return kinds.map(([name, value]) => [prefix + name, ...before, value]);
}

/** The same with one option of each kind. */
export function eachOption(option: string, before: readonly unknown[], options: object = {}, after: unknown[] = []) {
  return kinds.map(
    ([name, value]) =>
      [`{ ${option}: ${name} }`, ...before, { ...options, [option]: value }, ...after] as [string, ...unknown[]],
  );
}

function isName(outcome: Outcome): boolean {
  return 'returned' in outcome && typeof outcome.returned === 'string' && outcome.returned.startsWith('-- ');
}

/** Runs a script on the three handles, and asserts that it met both errors and results. */
export async function compareBoth(
  t: Parameters<typeof compare>[0],
  script: Script,
  options?: Parameters<typeof compare>[2],
): Promise<readonly Outcome[]> {
  const outcomes = await compare(t, script, options);
  t.true(
    outcomes.some((outcome) => 'threw' in outcome),
    'Some of the calls are refused',
  );
  t.true(
    outcomes.some((outcome) => 'returned' in outcome && !isName(outcome)),
    'Some of the calls succeed',
  );
  return outcomes;
}
