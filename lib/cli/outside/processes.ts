import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { FileProcess } from './file-state.ts';
import type { Found } from './peek.ts';
import type { Ties } from './standing.ts';

export interface Users {
  readonly processes: readonly FileProcess[];
  /** Those that would not let their open files be looked at. */
  readonly hidden: readonly number[];
  /** Of each of the processes. */
  readonly ties: readonly Ties[];
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
  const ties: Ties[] = [];
  const hidden: number[] = [];
  for (const pid of pids) {
    const descriptors = descriptorsOf(pid, files);
    if (descriptors === undefined) hidden.push(Number(pid));
    else if (descriptors.database.length + descriptors.beside.length > 0) {
      processes.push(describe(pid, descriptors.database));
      ties.push(tiesOf(pid, descriptors));
    }
  }
  return { processes, hidden, ties };
}

interface Descriptor {
  readonly name: string;
  readonly link: string;
}

type Descriptors = Readonly<Record<'database' | 'beside' | 'others', readonly Descriptor[]>>;

/** `undefined` where they may not be looked at; none of a process that has ended meanwhile. */
function descriptorsOf(pid: string, files: readonly Found[]): Descriptors | undefined {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    // A thread of the kernel has no arguments, and nothing open.
    const isDenied = ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
    return isDenied && argumentsOf(pid) !== '' ? undefined : { database: [], beside: [], others: [] };
  }
  const found = { database: [] as Descriptor[], beside: [] as Descriptor[], others: [] as Descriptor[] };
  for (const name of names) {
    try {
      const path = `/proc/${pid}/fd/${name}`;
      const link = readlinkSync(path);
      // Sockets and pipes are most of what a server has open, and cost a look less this way.
      if (!link.startsWith('/')) continue;
      const open = statSync(path, { bigint: true });
      const index = files.findIndex(({ device, inode }) => inode === open.ino && device === open.dev);
      found[index === -1 ? 'others' : index === 0 ? 'database' : 'beside'].push({ name, link });
    } catch {
      // Closed since.
    }
  }
  return found;
}

function tiesOf(pid: string, { database, beside, others }: Descriptors): Ties {
  return { pid: Number(pid), database: linksOf(database), beside: linksOf(beside), others: linksOf(others) };
}

function linksOf(descriptors: readonly Descriptor[]): string[] {
  return descriptors.map(({ link }) => link);
}

function describe(pid: string, ofDatabase: readonly Descriptor[]): FileProcess {
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
