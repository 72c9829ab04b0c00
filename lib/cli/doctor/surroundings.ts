import { accessSync, constants, type StatsFs, statfsSync } from 'node:fs';
import { uptime } from 'node:os';
import { dirname } from 'node:path';

/** Of the place a file is in. `undefined` is what the system does not tell. */
export interface Surroundings {
  /** Code of the error that reading or writing it would meet; `undefined` where it would meet none. */
  readonly readError: string | undefined;
  readonly writeError: string | undefined;
  /** For what lies beside the file, in the directory it is in. */
  readonly directoryError: string | undefined;
  readonly freeBytes: number | undefined;
  readonly blockSize: number | undefined;
  readonly fileSystem: FileSystem | undefined;
  /** When the machine was started: milliseconds since 1970. */
  readonly booted: number;
}

export interface FileSystem {
  readonly name: string;
  readonly kind: 'local' | 'network' | 'shared' | 'memory' | 'layer';
}

/** By the number that Linux gives a kind of file system. */
const fileSystems: Readonly<Record<number, FileSystem>> = {
  26985: { name: 'NFS', kind: 'network' },
  20859: { name: 'SMB', kind: 'network' },
  4283649346: { name: 'CIFS', kind: 'network' },
  4266872130: { name: 'SMB 2', kind: 'network' },
  1397113167: { name: 'AFS', kind: 'network' },
  12805120: { name: 'Ceph', kind: 'network' },
  198183888: { name: 'Lustre', kind: 'network' },
  18225520: { name: 'GFS2', kind: 'network' },
  1952539503: { name: 'OCFS2', kind: 'network' },
  16914839: { name: '9p', kind: 'shared' },
  1702057286: { name: 'FUSE', kind: 'shared' },
  2020557398: { name: 'VirtualBox shared folder', kind: 'shared' },
  16914836: { name: 'tmpfs', kind: 'memory' },
  2240043254: { name: 'ramfs', kind: 'memory' },
  2035054128: { name: 'overlay', kind: 'layer' },
};

/** @param type as `statfs` gives it, which is negative on some machines */
export function fileSystemOf(type: number): FileSystem {
  return fileSystems[type >>> 0] ?? { name: 'local', kind: 'local' };
}

export function surroundingsOf(path: string): Surroundings {
  const directory = dirname(path);
  let system: StatsFs | undefined;
  try {
    system = statfsSync(directory);
  } catch {
    // Told as not known.
  }
  return {
    readError: refusal(path, constants.R_OK),
    writeError: refusal(path, constants.W_OK),
    directoryError: refusal(directory, constants.W_OK | constants.X_OK),
    freeBytes: system && system.bavail * system.bsize,
    blockSize: system?.bsize,
    booted: Date.now() - uptime() * 1000,
    fileSystem: system && process.platform === 'linux' ? fileSystemOf(system.type) : undefined,
  };
}

function refusal(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return undefined;
  } catch (error) {
    // The file system throws nothing that has no code.
    return (error as { readonly code: string }).code;
  }
}
