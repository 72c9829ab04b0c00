import type { Examination } from '../../../lib/cli/doctor/examination.ts';
import type { Facts, Finding } from '../../../lib/cli/doctor/finding.ts';
import { findingsOf } from '../../../lib/cli/doctor/findings.ts';
import type { Surroundings } from '../../../lib/cli/doctor/surroundings.ts';
import type { DatabaseHeader, FileLocks, FileState, WalState } from '../../../lib/cli/outside/file-state.ts';

/*
 * Facts that are made up: for places, processes and logs that no machine has which runs the specs. All is well with them, and each
 * function is given what is not.
 */

export function headerWith(changes: Partial<DatabaseHeader> = {}): DatabaseHeader {
  return {
    pageSize: 4096,
    reserved: 0,
    journal: 'wal',
    changeCounter: 1,
    pages: 1000,
    freePages: 0,
    schemaCookie: 1,
    autoVacuum: 'none',
    encoding: 'UTF-8',
    userVersion: 0,
    applicationId: 0,
    sqliteVersion: 3_054_001,
    ...changes,
  };
}

export function stateWith(changes: Partial<FileState> = {}): FileState {
  return {
    path: '/data/app.db',
    at: 0,
    kind: 'file',
    error: undefined,
    size: 4_096_000,
    modified: 0,
    content: 'database',
    header: headerWith(),
    wal: undefined,
    index: undefined,
    journal: undefined,
    strangers: [],
    processes: [],
    hiddenProcesses: 0,
    locks: locksWith(),
    isConfined: false,
    stranded: [],
    untold: [],
    ...changes,
  };
}

export function locksWith(changes: Partial<FileLocks> = {}): FileLocks {
  return {
    writer: undefined,
    exclusive: undefined,
    committing: undefined,
    checkpointer: undefined,
    recoverer: undefined,
    readers: [],
    users: [],
    connected: [],
    blocked: [],
    ...changes,
  };
}

export function walWith(changes: Partial<WalState> = {}): WalState {
  return { bytes: 41_232, modified: 0, frames: 10, pageSize: 4096, round: 0, salt: '00', ...changes };
}

export function surroundingsWith(changes: Partial<Surroundings> = {}): Surroundings {
  return {
    readError: undefined,
    writeError: undefined,
    directoryError: undefined,
    freeBytes: 1e12,
    blockSize: 4096,
    fileSystem: { name: 'local', kind: 'local' },
    booted: -1,
    ...changes,
  };
}

export function examinationWith(changes: Partial<Examination> = {}): Examination {
  return {
    settings: undefined,
    tables: undefined,
    pages: undefined,
    integrity: undefined,
    keys: undefined,
    unindexed: undefined,
    statistics: undefined,
    failures: [],
    ...changes,
  };
}

export interface Findings {
  readonly all: readonly Finding[];
  /** Those of one id. */
  of(id: string): readonly Finding[];
  /** The only one of an id. */
  one(id: string): Finding;
}

export function factsWith(changes: Partial<Facts> = {}): Facts {
  return {
    name: 'app.db',
    state: stateWith(),
    surroundings: surroundingsWith(),
    log: undefined,
    left: undefined,
    guess: undefined,
    patience: { looked: 1000, writer: undefined, exclusive: undefined, pins: [], stranded: [], length: undefined },
    examination: undefined,
    plan: { where: 'copy', reason: 'in a copy' },
    integrity: 'full',
    keys: true,
    ...changes,
  };
}

export function findingsWith(changes: Partial<Facts> = {}): Findings {
  const all = findingsOf(factsWith(changes));
  const of = (id: string) => all.filter((finding) => finding.id === id);
  const one = (id: string) => {
    const [found, ...others] = of(id);
    if (found === undefined || others.length > 0) {
      throw new Error(`Not one finding ${id}: ${JSON.stringify(of(id))}`);
    }
    return found;
  };
  return { all, of, one };
}

/** State and sentence: what a person sees first. */
export function told({ state, found }: Finding): string {
  return `${state}: ${found}`;
}
