import { HttpError } from './http.ts';

/** Whole numbers of a body, by name. @throws HttpError that names the first which is missing or out of range */
export function integersOf<Name extends string>(
  body: unknown,
  limits: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const fields = (body ?? {}) as Record<string, unknown>;
  const checked = Object.entries<number>(limits).map(([name, most]) => {
    const value = fields[name];
    if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most) return [name, value];
    const upTo = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
    throw new HttpError(400, `"${name}" must be a whole number from 1${upTo}.`);
  });
  return Object.fromEntries(checked) as Record<Name, number>;
}

/** A text of a body. @throws HttpError where it is missing, empty or too long */
export function textOf(body: unknown, name: string, longest: number): string {
  const value = ((body ?? {}) as Record<string, unknown>)[name];
  if (typeof value === 'string' && value.length > 0 && value.length <= longest) return value;
  throw new HttpError(400, `"${name}" must be a text of 1 to ${longest} characters.`);
}
