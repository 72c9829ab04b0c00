import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { temporaryDirectory } from '../support/files.ts';

/** What the entry point is called. */
export const entryPoint = 'sqlite3_stray_init';

/** An extension whose function `stray` is 7, and which then comes to this end; `undefined` where there is no C compiler. */
export function compileExtension(t: ExecutionContext, end: 'SQLITE_OK' | 'SQLITE_ERROR'): string | undefined {
  const directory = temporaryDirectory(t);
  const [source, file] = [join(directory, 'stray.c'), join(directory, 'stray.so')];
  const headers = dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json'));
  writeFileSync(
    source,
    `#include <sqlite3ext.h>
     SQLITE_EXTENSION_INIT1
     static void stray(sqlite3_context *context, int count, sqlite3_value **values) { sqlite3_result_int(context, 7); }
     int ${entryPoint}(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
       SQLITE_EXTENSION_INIT2(api);
       sqlite3_create_function(db, "stray", 0, SQLITE_UTF8, 0, stray, 0, 0);
       return ${end};
     }`,
  );
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-I', join(headers, 'deps', 'sqlite3'), '-o', file, source]);
    return file;
  } catch (error) {
    t.log('Skipped: no extension could be compiled here.', (error as Error).message);
    return undefined;
  }
}
