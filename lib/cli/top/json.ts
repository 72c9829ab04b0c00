// JSON may have in it what controls a terminal: of the control characters only the first 32 are escaped.
const control = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** One line of JSON that a terminal may be given as well. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value).replace(
    control,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${text}\n`;
}
