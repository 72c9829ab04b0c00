import { OptionsError } from './errors.ts';
import { nearestOf } from './nearest.ts';

/** How one option is checked: says what is allowed, and whether a value is. */
export interface Rule {
  readonly allowed: string;
  accepts(value: unknown): boolean;
}

export const rules = {
  integerFrom: (least: number): Rule => ({
    allowed: `an integer from ${least}`,
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= least,
  }),
  integerBetween: (least: number, most: number): Rule => ({
    allowed: `an integer from ${least} to ${most}`,
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
  }),
  countFrom: (least: number): Rule => ({
    allowed: `an integer from ${least}, or Infinity`,
    accepts: (value) => value === Infinity || (Number.isSafeInteger(value) && (value as number) >= least),
  }),
  duration: {
    allowed: 'a number of milliseconds above 0, or Infinity',
    accepts: (value) => typeof value === 'number' && value > 0,
  },
  durationFromZero: {
    allowed: 'a number of milliseconds from 0, or Infinity',
    accepts: (value) => typeof value === 'number' && value >= 0,
  },
  finite: { allowed: 'a finite number', accepts: (value) => Number.isFinite(value) },
  boolean: { allowed: 'true or false', accepts: (value) => typeof value === 'boolean' },
  function: { allowed: 'a function', accepts: (value) => typeof value === 'function' },
  text: { allowed: 'a string that is not empty', accepts: (value) => typeof value === 'string' && value !== '' },
  label: { allowed: 'a string', accepts: (value) => typeof value === 'string' },
  signal: { allowed: 'an AbortSignal', accepts: (value) => value instanceof AbortSignal },
  oneOf: (...values: readonly string[]): Rule => ({
    allowed: values.map((value) => `'${value}'`).join(' or '),
    accepts: (value) => values.includes(value as string),
  }),
} as const satisfies Record<string, Rule | ((...args: never[]) => Rule)>;

export const noOptions: Readonly<Record<string, never>> = Object.freeze({});

/**
 * The options as they are now, checked against `known`. Each is read once, whether it is a property or what an accessor gives, so
 * that what was checked is what is used. One whose value is `undefined` counts as absent.
 *
 * @throws OptionsError for the first that is unknown or not accepted; what an accessor throws
 */
export function checkOptions<Options extends object>(options: Options, known: Readonly<Record<string, Rule>>): Options {
  refuseUnknown(options, known);
  const checked: Record<string, unknown> = {};
  for (const key in known) {
    const value = (options as Record<string, unknown>)[key];
    if (value === undefined) continue;
    checkOption(key, value, known[key] as Rule);
    checked[key] = value;
  }
  return checked as Options;
}

/** @throws OptionsError where it is no object, or has an option that there is not */
export function refuseUnknown(options: object, known: Readonly<Record<string, Rule>>): void {
  if (!isRecord(options)) throw new OptionsError('options', options, 'an object');
  for (const key in options) {
    if (!Object.hasOwn(known, key)) throw unknownOption(key, Reflect.get(options, key), Object.keys(known));
  }
}

/** @throws OptionsError */
export function checkOption(name: string, value: unknown, rule: Rule): void {
  if (!isAccepted(rule, value)) throw new OptionsError(name, value, rule.allowed, remedy(name, value));
}

function isRecord(value: unknown): value is object {
  try {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // A proxy that was revoked can not even be asked.
    return false;
  }
}

export function isAccepted(rule: Rule, value: unknown): boolean {
  try {
    return rule.accepts(value);
  } catch {
    return false;
  }
}

/** The options of one call, which may be left out. @throws OptionsError */
export function checkCallOptions<Options extends object>(
  options: Options | undefined,
  known: Readonly<Record<string, Rule>>,
): Options {
  return options === undefined ? (noOptions as Options) : checkOptions(options, known);
}

export function checkFunction(fn: unknown, name: string): void {
  if (typeof fn !== 'function') throw new OptionsError(name, fn, 'a function');
}

/** The function of a call that has values beside it: what is none may be these. */
export function checkStatementFunction(fn: unknown): void {
  if (typeof fn !== 'function') throw new OptionsError('fn', fn, 'a function').withoutValue();
}

export function checkDuration(name: string, value: unknown): void {
  if (!rules.durationFromZero.accepts(value)) throw new OptionsError(name, value, rules.durationFromZero.allowed);
}

function remedy(option: string, value: unknown): string {
  if (value === 0 && (option === 'acquireTimeout' || option === 'timeout')) {
    return 'To get a connection only if one is free at once, call tryAcquire().';
  }
  return '';
}

function unknownOption(key: string, value: unknown, known: readonly string[]): OptionsError {
  // Of something else than a slip of the finger nobody can tell which option it was to be.
  const near = nearestOf(key, known, 1);
  return new OptionsError(
    key,
    value,
    `one of ${known.join(', ')}`,
    near === undefined ? 'There is no such option.' : `There is no such option. Did you mean "${near}"?`,
  );
}
