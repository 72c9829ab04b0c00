import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { FileProcess } from './file-state.ts';
import type { Found } from './peek.ts';

export interface Users {
  readonly processes: readonly FileProcess[];
  /** How many processes would not let their open files be looked at. */
  readonly hidden: number;
  /** Those that have a log, or an index of it, open that was beside the file and was deleted. */
  readonly stranded: readonly number[];
}

// A constant of the kernel, which tells the one of the machine from those of containers.
const initialNamespace = 'pid:[4026531836]';

/** Which of the sets of processes, that do not see those of the others, this one is in. `undefined` elsewhere than on Linux. */
export function pidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

export function isConfined(): boolean {
  return process.platform === 'linux' && pidNamespace() !== initialNamespace;
}

/** Who has one of the files open, the first of which is the database. `undefined` where the system does not tell. */
export function usersOf(files: readonly Found[]): Users | undefined {
  if (process.platform !== 'linux') return undefined;
  let pids: string[];
  try {
    pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return undefined;
  }
  const processes: FileProcess[] = [];
  const stranded: number[] = [];
  let hidden = 0;
  for (const pid of pids) {
    const descriptors = descriptorsOf(pid, files);
    if (descriptors === undefined) hidden++;
    else if (descriptors.ofFiles.length > 0) {
      processes.push(describe(pid, descriptors.ofFiles));
      if (hasDeleted(descriptors)) stranded.push(Number(pid));
    }
  }
  return { processes, hidden, stranded };
}

interface Descriptor {
  readonly name: string;
  readonly link: string;
  readonly isDatabase: boolean;
}

interface Descriptors {
  /** Those of the files that are looked for. */
  readonly ofFiles: readonly Descriptor[];
  /** What all that have a path link to. */
  readonly links: readonly string[];
}

/** `undefined` where they may not be looked at; none of a process that has ended meanwhile. */
function descriptorsOf(pid: string, files: readonly Found[]): Descriptors | undefined {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    // A thread of the kernel has no arguments, and nothing open.
    const isDenied = ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
    return isDenied && argumentsOf(pid) !== '' ? undefined : { ofFiles: [], links: [] };
  }
  const links: string[] = [];
  const ofFiles = names.flatMap((name) => {
    try {
      const path = `/proc/${pid}/fd/${name}`;
      const link = readlinkSync(path);
      // Sockets and pipes are most of what a server has open, and cost a look less this way.
      if (!link.startsWith('/')) return [];
      links.push(link);
      const open = statSync(path, { bigint: true });
      const index = files.findIndex(({ device, inode }) => inode === open.ino && device === open.dev);
      return index === -1 ? [] : [{ name, link, isDatabase: index === 0 }];
    } catch {
      // Closed since.
      return [];
    }
  });
  return { ofFiles, links };
}

/** Whether what lay beside the database was deleted while it was open: by the name that the process itself knows it by. */
function hasDeleted({ ofFiles, links }: Descriptors): boolean {
  return ofFiles.some(
    ({ isDatabase, link }) =>
      isDatabase && ['-wal', '-shm'].some((suffix) => links.includes(`${link}${suffix} (deleted)`)),
  );
}

function describe(pid: string, descriptors: readonly Descriptor[]): FileProcess {
  const ofDatabase = descriptors.filter(({ isDatabase }) => isDatabase);
  return {
    pid: Number(pid),
    command: argumentsOf(pid) || nameOf(pid),
    started: startOf(pid),
    descriptors: ofDatabase.length,
    canWrite: canWrite(
      pid,
      ofDatabase.map(({ name }) => name),
    ),
  };
}

function argumentsOf(pid: string): string {
  return read(`/proc/${pid}/cmdline`)?.replace(/\0+$/, '').replaceAll('\0', ' ') ?? '';
}

function nameOf(pid: string): string {
  return read(`/proc/${pid}/comm`)?.trimEnd() ?? '';
}

/** Time of day at which it began, to a hundredth of a second. */
function startOf(pid: string): number | undefined {
  // The name is in parentheses and may hold any others; fields are counted from the last of them.
  const fields = read(`/proc/${pid}/stat`)?.replace(/^.*\)/s, '').trim().split(' ');
  const uptime = Number.parseFloat(read('/proc/uptime') ?? '');
  const ticks = Number(fields?.[19]);
  if (!Number.isFinite(ticks) || !Number.isFinite(uptime)) return undefined;
  return Math.round(Date.now() - uptime * 1000 + ticks * 10);
}

function canWrite(pid: string, names: readonly string[]): boolean | undefined {
  const flags = names.map((name) => /^flags:\s*([0-7]+)/m.exec(read(`/proc/${pid}/fdinfo/${name}`) ?? '')?.[1]);
  if (flags.includes(undefined)) return undefined;
  // The lowest two bits: 0 to read, 1 to write, 2 for both.
  return flags.some((octal) => octal !== undefined && (Number.parseInt(octal, 8) & 3) !== 0);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
