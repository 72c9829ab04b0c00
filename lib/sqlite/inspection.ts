import { type InspectOptions, inspect } from 'node:util';
import { inOrder } from '../wording.ts';

/** What `util.inspect` shows of one of our objects: its name and a few facts, never its insides. */
export function inspection(name: string, facts: object, options: InspectOptions): string {
  return `${name} ${inOrder(inspect(facts, options))}`;
}
