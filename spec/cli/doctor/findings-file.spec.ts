import test from 'ava';
import type { Surroundings } from '../../../lib/cli/doctor/surroundings.ts';
import type { FileState } from '../../../lib/cli/outside/file-state.ts';
import { examinationWith, findingsWith, headerWith, stateWith, surroundingsWith, told } from './facts.ts';

const at = (changes: Partial<Surroundings>) => findingsWith({ surroundings: surroundingsWith(changes) });
const file = (changes: Partial<FileState>) => findingsWith({ state: stateWith(changes) });

test('a file about which all is well has no finding but ok', (t) => {
  const { all } = findingsWith();
  t.deepEqual([...new Set(all.map(({ state }) => state))], ['ok']);
});

test('what is no file is one finding, with what to do about it', (t) => {
  for (const [kind, found, advice] of [
    ['missing', 'There is no file of that name.', /^Look at the path: .* an empty database/],
    ['directory', 'It is a directory.', /^Give the path of the database file\.$/],
    ['other', 'It is neither a file nor a directory.', /^Give the path of the database file\.$/],
    ['unreachable', 'It can not be looked at: EACCES.', /as the user whose process uses the file\.$/],
  ] as const) {
    const { all } = file({
      kind,
      error: kind === 'unreachable' ? 'EACCES' : undefined,
      content: undefined,
      header: undefined,
    });
    t.deepEqual(all.map(told), [`problem: ${found}`]);
    t.is(all[0]?.id, 'file.exists');
    t.regex(all[0]?.advice?.join('\n') ?? '', advice);
  }
});

test('a file that can not be read says why, and who can read it', (t) => {
  const unread = { content: undefined, header: undefined };
  for (const { one, of } of [
    file({ ...unread, error: 'EIO' }),
    findingsWith({ state: stateWith(unread), surroundings: surroundingsWith({ readError: 'EIO' }) }),
  ]) {
    const finding = one('file.content');
    t.is(told(finding), 'problem: It can not be read: EIO.');
    t.deepEqual(finding.advice, ['Run this as the user whose process uses the file.']);
    t.deepEqual(of('content.examined'), []);
  }
  // Nobody says why.
  t.is(told(file(unread).one('file.content')), 'problem: It can not be read.');
  // Whether it can be written to is nothing beside that.
  t.deepEqual(at({ readError: 'EACCES', writeError: 'EACCES' }).of('file.access'), []);
});

test('a file that is no database, and of which nothing more is known, is another kind of file or a damaged one', (t) => {
  const { one, of } = file({ content: 'other', header: undefined, size: 12_000 });
  const finding = one('file.content');
  t.is(told(finding), 'problem: Its 12.0 kB do not begin as those of a database do.');
  t.regex(finding.why ?? '', /^It is another kind of file, or a database whose first page was overwritten\.$/);
  t.regex(finding.advice?.join('\n') ?? '', /keep a copy of it and go back to the last backup/);
  t.deepEqual(of('users.processes'), []);
});

test('a file that this user can not write to, or not beside, is a note with what to grant', (t) => {
  const sentences = [
    [{ writeError: 'EACCES' }, 'This user can not write to it: EACCES.'],
    [{ directoryError: 'EROFS' }, 'This user can not make files in its directory: EROFS.'],
    [{ writeError: 'EROFS', directoryError: 'EROFS' }, 'This user can not write to it: EROFS.'],
  ] as const;
  for (const [changes, found] of sentences) {
    const finding = at(changes).one('file.access');
    t.is(told(finding), `note: ${found}`);
    t.regex(finding.why ?? '', /needs a journal beside the file/);
    t.regex(finding.advice?.join('\n') ?? '', /grant write access to the file and to its directory\.$/);
  }
});

test('where nothing is known of the place a file is in, nothing is said of it', (t) => {
  const { of, one } = findingsWith({ surroundings: undefined });
  for (const id of ['file.access', 'file.place', 'space.disk']) t.deepEqual(of(id), []);
  t.is(one('space.page-size').found, '4096 bytes');
  t.deepEqual(at({ fileSystem: undefined }).of('file.place'), []);
});

test('a file system on which a database is at risk, or does not last, is told of with a better one', (t) => {
  for (const [kind, name, found, advice] of [
    ['network', 'NFS', 'warning: It is on a network file system (NFS).', /^Move it to a local disk\./],
    ['shared', '9p', 'warning: It is on a file system that another program or machine serves (9p).', /a local disk/],
    ['memory', 'tmpfs', 'note: It is in memory (tmpfs).', /on a disk/],
    ['layer', 'overlay', 'note: It is in the layer of a container (overlay).', /in a volume/],
  ] as const) {
    const finding = at({ fileSystem: { kind, name } }).one('file.place');
    t.is(told(finding), found);
    t.truthy(finding.why);
    t.regex(finding.advice?.join('\n') ?? '', advice);
  }
  t.deepEqual(at({ fileSystem: { kind: 'local', name: 'local' } }).of('file.place'), []);
});

test('on a file system of others WAL is a warning, and a rollback journal is right', (t) => {
  for (const kind of ['network', 'shared'] as const) {
    const surroundings = surroundingsWith({ fileSystem: { kind, name: 'NFS' } });
    const wal = findingsWith({ surroundings }).one('journal.mode');
    t.is(told(wal), 'warning: WAL, on a file system of others (NFS).');
    t.regex(wal.advice?.join('\n') ?? '', /journal_mode: 'DELETE'/);
    const state = stateWith({ header: headerWith({ journal: 'rollback' }) });
    t.is(
      told(findingsWith({ surroundings, state }).one('journal.mode')),
      'ok: a rollback journal, as is right on this file system (NFS)',
    );
  }
});

const lengthOf = (size: number, pages: number, length: 'short' | 'ragged') =>
  findingsWith({
    state: stateWith({ size, header: headerWith({ pages }) }),
    patience: { looked: 0, writer: undefined, exclusive: undefined, pins: [], stranded: [], length },
  }).one('file.length');

test('one page, and one byte, are told of as one', (t) => {
  const { one } = file({ size: 4096, header: headerWith({ pages: 1 }) });
  t.regex(one('file.content').found, /^4\.1 kB, 1 page of 4096 bytes; written last by SQLite 3\.54\.1$/);
  t.is(told(lengthOf(4096, 2, 'short')), 'problem: The header tells of 2 pages, and 1 is there.');
  t.is(told(lengthOf(4096 * 2000, 3000, 'short')), 'problem: The header tells of 3,000 pages, and 2,000 are there.');
  t.is(told(lengthOf(4097, 1, 'ragged')), 'warning: It ends with 1 byte that is no whole page.');
  t.is(told(lengthOf(4099, 1, 'ragged')), 'warning: It ends with 3 bytes that are no whole page.');
});

test('a name that a shell would take apart is quoted in each command', (t) => {
  const { one } = findingsWith({ name: "it's mine.db", state: stateWith({ header: undefined }) });
  const advice = one('file.content').advice?.join('\n') ?? '';
  t.true(advice.includes(String.raw`sqlite3 'it'\''s mine.db' .recover`), advice);
});

test('a disk that is nearly full is a warning, by what the file may need', (t) => {
  const finding = at({ freeBytes: 50_000_000 }).one('space.disk');
  t.is(told(finding), 'warning: 50.0 MB beside a file of 4.1 MB.');
  t.regex(finding.why ?? '', /SQLITE_FULL/);
  t.deepEqual(finding.advice, ['Make room, or move the file.']);
  t.is(told(at({ freeBytes: 200_000_000 }).one('space.disk')), 'ok: 200.0 MB beside the file');
  // A tenth of the file, where that is more.
  const large = findingsWith({
    state: stateWith({ size: 4e9 }),
    surroundings: surroundingsWith({ freeBytes: 200_000_000 }),
  });
  t.is(told(large.one('space.disk')), 'warning: 200.0 MB beside a file of 4.0 GB.');
});

test('small pages are a note only where the file may be made anew: not where it is damaged', (t) => {
  const state = stateWith({ header: headerWith({ pageSize: 1024, pages: 4000 }) });
  for (const examination of [undefined, examinationWith()]) {
    const finding = findingsWith({ state, examination }).one('space.page-size');
    t.is(told(finding), 'note: 1024 bytes; blocks of the file system have 4096');
    t.regex(finding.advice?.join('\n') ?? '', /PRAGMA page_size = 4096; VACUUM;/);
  }
  const failures = [{ during: 'tables', code: 'SQLITE_CORRUPT', message: 'malformed' }] as const;
  const damaged = findingsWith({ state, examination: examinationWith({ failures }) }).one('space.page-size');
  t.is(damaged.state, 'ok');
  t.is(damaged.advice, undefined);
});

test('free pages are a note where they are many, with how to have their room back', (t) => {
  const freeOf = (autoVacuum: 'none' | 'incremental') =>
    file({ header: headerWith({ freePages: 400, autoVacuum }) }).one('space.free-pages');
  t.is(told(freeOf('none')), 'note: 400 pages, 40 % of the file; auto_vacuum is none');
  t.regex(
    freeOf('none').advice?.join('\n') ?? '',
    /^`sqlite3 app\.db VACUUM` gives 1\.6 MB back\. It needs up to 4\.9 MB/,
  );
  t.regex(freeOf('incremental').advice?.join('\n') ?? '', /^`PRAGMA incremental_vacuum\(1000\)`/);
  // Of a file of which no page is known there is no share.
  t.is(told(file({ size: undefined }).one('space.free-pages')), 'ok: 0 pages, 0 % of the file; auto_vacuum is none');
});
