import type { FileState, Stranded } from '../outside/file-state.ts';
import type { LogContent } from '../outside/wal.ts';
import type { Examination, IntegrityLevel } from './examination.ts';
import type { Guess } from './guess.ts';
import type { Surroundings } from './surroundings.ts';

/** From harmless to harmful. */
export const states = ['ok', 'note', 'warning', 'problem'] as const;
export type State = (typeof states)[number];

export const groups = ['File', 'Journal', 'Users', 'Space', 'Schema', 'Content'] as const;

/** One thing that was looked at. Text as it was found, names of tables in it too: to be made harmless by whoever shows it. */
export interface Finding {
  /** Stays the same from version to version. */
  readonly id: string;
  readonly group: (typeof groups)[number];
  readonly state: State;
  readonly title: string;
  readonly found: string;
  /** Why it matters. */
  readonly why?: string;
  /** What to do: sentences, commands, lines of code, one each. */
  readonly advice?: readonly string[];
}

/** All that the findings are made from. */
export interface Facts {
  /** As it was given on the command line. */
  readonly name: string;
  readonly state: FileState;
  readonly surroundings: Surroundings | undefined;
  /** What a log holds that nobody has open. `undefined` where there is none, or somebody has it open. */
  readonly log: LeftLog | undefined;
  /** What the log holds that stayed when the last to have the file open closed it while it was examined. */
  readonly left: LeftLog | undefined;
  /** What a file may be that is no database. */
  readonly guess: Guess | undefined;
  readonly patience: Patience;
  /** `undefined` where SQLite was not asked. */
  readonly examination: Examination | undefined;
  /** Why SQLite was not asked, or where. */
  readonly plan: Plan;
  readonly integrity: IntegrityLevel;
  readonly keys: boolean;
}

/** `changing`: it was another at each look, or went away, so that somebody uses it. `unread`: it could not be read. */
export type LeftLog = LogContent | 'changing' | 'unread';

/** Of several looks: what did not go away. */
export interface Patience {
  /** How long was looked. */
  readonly looked: number;
  /** Who held the right to write all the time. */
  readonly writer: number | undefined;
  /** Who had the file for itself all the time. */
  readonly exclusive: number | undefined;
  /** Who kept the log from being copied all the time. */
  readonly pins: readonly number[];
  /** Who did not use the log beside the file, in the same way all the time. */
  readonly stranded: readonly Stranded[];
  /** How the file was wrong in length all the time: shorter than its header says, or with a part of a page at its end. */
  readonly length: 'short' | 'ragged' | undefined;
}

export interface Plan {
  readonly where: 'in place' | 'copy' | 'nowhere';
  /** As `Job.needsLog`. */
  readonly needsLog?: boolean;
  /** A sentence, for whoever wonders. */
  readonly reason: string;
}
