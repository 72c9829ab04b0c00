/** What running a statement or script can leave behind on its connection. */
export interface SqlTraits {
  /** Whether it leaves nothing behind and may be kept. */
  readonly plain: boolean;
  /** Whether it needs the file for itself, and should rather fail than wait for others to leave. */
  readonly exclusive: boolean;
  /** Whether it writes to the file, or takes a lock as if; `undefined` where only SQLite can tell. */
  readonly writes: boolean | undefined;
  /** It may open a transaction or savepoint, so the connection is asked on return. */
  readonly transaction: boolean;
  /** It may attach a database or change temporary objects, so the connection is asked on return. */
  readonly schema: boolean;
  /** Settings it changes, in words: the connection is discarded on return. */
  readonly settings: readonly string[];
  /** Whether a prepared statement may serve again. A PRAGMA may take effect, or fix its answer, when it is prepared. */
  readonly cacheable: boolean;
}

// Queries and data changes leave nothing behind. WITH may begin either.
const nothing = { plain: true, exclusive: false, transaction: false, schema: false, settings: [], cacheable: true };
export const query: SqlTraits = Object.freeze({ ...nothing, writes: false });
export const dataChange: SqlTraits = Object.freeze({ ...nothing, writes: true });
const either: SqlTraits = Object.freeze({ ...nothing, writes: undefined });

// SQLite's tokens as far as they matter here. White space is what SQLite or better-sqlite3 takes for it. A doubled
// quote inside a quoted token reads as two tokens, which does no harm. What is unterminated runs to the end.
const tokenPattern =
  /[ \t\n\v\f\r\ufeff]+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/g;

const skipped = /^(?:[ \t\n\v\f\r\ufeff]|--|\/\*)/;
const quoted = /^['"`[]/;

// Verbs after which nothing has to be looked at. Tested before the statement is taken apart, because
// nearly every statement begins with one of them.
const plainStart = /^[ \t\n\f\r]*(?:(SELECT|VALUES)|(INSERT|UPDATE|DELETE|REPLACE)|WITH)\b[^;]*(?:;[ \t\n\f\r]*)?$/i;

// What a query can do beside giving values, though SQLite takes it for read-only: the one sets a tokenizer for as long as
// the connection lives, the other writes statistics. Tested on every text: 20 ns for one of the usual length.
const actingNames = /fts3_tokenizer|pragma_optimize/i;

const control = new Set(['begin', 'commit', 'end', 'rollback', 'savepoint', 'release']);

// What takes no lock to write. COMMIT ends a write, and needs no more than it has.
const reading = new Set(['select', 'values', 'commit', 'end', 'rollback', 'savepoint', 'release', 'attach', 'detach']);

// Any of these may concern an attached database, or a temporary object that `onOpen` made without saying so.
const schemaVerbs = new Set(['drop', 'alter', 'attach', 'analyze']);

// Pragmas whose argument asks rather than sets.
const asking = new Set([
  'foreign_key_check',
  'foreign_key_list',
  'incremental_vacuum',
  'index_info',
  'index_list',
  'index_xinfo',
  'integrity_check',
  'optimize',
  'quick_check',
  'table_info',
  'table_list',
  'table_xinfo',
  'wal_checkpoint',
]);

// Pragmas that write to the file, or lock it as if, when they are given an argument.
const writing = new Set([
  'application_id',
  'auto_vacuum',
  'encoding',
  'journal_mode',
  'page_size',
  'schema_version',
  'user_version',
]);

// And those that do without one, too.
const maintaining = new Set(['incremental_vacuum', 'optimize']);

// Pragmas that are stored in the file. That of the temporary database goes with the connection.
const inFile = new Set(['application_id', 'schema_version', 'user_version']);

/**
 * Tells what a statement, or a script of several, can leave behind. It errs on the side of "may": an answer of "nothing"
 * is certain, any other only costs a look at the connection, or a new one.
 */
export function classify(sql: string): SqlTraits {
  const plain = plainStart.exec(sql);
  const mayAct = actingNames.test(sql);
  if (plain !== null && !mayAct) return plain[1] === undefined ? (plain[2] === undefined ? either : dataChange) : query;
  const traits: MutableTraits = {
    plain: false,
    exclusive: false,
    writes: false,
    transaction: false,
    schema: false,
    settings: [],
    cacheable: true,
  };
  for (const statement of statements(sql)) note(statement, traits);
  if (mayAct) noteNames(sql, traits);
  return traits;
}

type MutableTraits = { -readonly [Key in keyof SqlTraits]: SqlTraits[Key] } & { settings: string[] };

/** A statement of a script. */
interface Statement {
  /** Its first words and punctuation from the verb on, unquoted and in lower case. */
  readonly head: readonly string[];
  /** Whether EXPLAIN stands before it. That does not keep a PRAGMA from taking effect. */
  readonly explained: boolean;
}

/** A token without its quotes, in lower case. */
function wordOf(token: string): string {
  return (quoted.test(token) ? token.slice(1, -1) : token).toLowerCase();
}

const createTrigger = /^create (?:temp |temporary )?trigger$/;

// CREATE TABLE IF NOT EXISTS schema . name
const headLength = 8;

function* statements(sql: string): Generator<Statement> {
  let head: string[] = [];
  let explained = false;
  // The two words before the present one, to find the end of a trigger's body.
  let [last, secondLast] = ['', ''];
  let inTrigger = false;
  for (const [token] of sql.matchAll(tokenPattern)) {
    if (skipped.test(token)) continue;
    if (token === ';' && !(inTrigger && !(last === 'end' && secondLast === ';'))) {
      if (head.length > 0) yield { head, explained };
      head = [];
      explained = false;
      [last, secondLast, inTrigger] = ['', '', false];
      continue;
    }
    const word = wordOf(token);
    const explains =
      head.length === 0 &&
      (word === 'explain' || (last === 'explain' && word === 'query') || (last === 'query' && word === 'plan'));
    explained ||= explains;
    if (!explains && head.length < headLength) {
      head.push(word);
      // CREATE [TEMP] TRIGGER: its body has semicolons of its own, and is over at `; END ;` as in sqlite3_complete().
      inTrigger ||= createTrigger.test(head.join(' '));
    }
    [last, secondLast] = [word, last];
  }
  if (head.length > 0) yield { head, explained };
}

/** Whether a CREATE makes its object in the file: an index or trigger may be on a temporary table without saying so. */
function inMain([kind = '', ...rest]: readonly string[]): boolean {
  const isNamed = kind === 'table' || kind === 'view' || kind === 'virtual';
  return isNamed && !rest.includes('temp');
}

function note({ head: [verb = '', ...rest], explained }: Statement, traits: MutableTraits): void {
  if (verb === 'pragma') notePragma(rest, traits);
  else if (!explained && verb === 'with') traits.writes ||= undefined;
  else if (
    !explained &&
    !reading.has(verb) &&
    !(verb === 'begin' && !/^(?:immediate|exclusive)$/.test(rest[0] ?? ''))
  ) {
    traits.writes = true;
  }
  if (control.has(verb)) traits.transaction = true;
  else if (verb === 'detach') traits.settings.push('detached database');
  else if (!explained && (schemaVerbs.has(verb) || (verb === 'create' && !inMain(rest)))) traits.schema = true;
}

/** Looks for the names that act wherever they stand. A table may be named by a string, so one that is only a value counts too. */
function noteNames(sql: string, traits: MutableTraits): void {
  for (const [token] of sql.matchAll(tokenPattern)) {
    if (skipped.test(token)) continue;
    const word = wordOf(token);
    if (word === 'fts3_tokenizer') traits.settings.push('tokenizer');
    else if (word === 'pragma_optimize') traits.writes = true;
  }
}

function notePragma(words: readonly string[], traits: MutableTraits): void {
  traits.cacheable = false;
  const schema = words[1] === '.' ? words[0] : 'main';
  const [name = '', mark, argument = ''] = words[1] === '.' ? words.slice(2) : words;
  const isGiven = mark === '=' || mark === '(';
  if (isGiven && !asking.has(name) && !(inFile.has(name) && schema !== 'temp')) traits.settings.push(`pragma ${name}`);
  // All modes of a checkpoint but the passive one wait for readers and writers.
  const waits = name === 'wal_checkpoint' && isGiven && argument !== 'passive';
  if (waits || (isGiven && name === 'journal_mode')) traits.exclusive = true;
  if (waits || maintaining.has(name) || (isGiven && writing.has(name))) traits.writes = true;
}
