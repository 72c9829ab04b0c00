/** What running a statement or script can leave behind on its connection. */
export interface SqlTraits {
  /** It may open a transaction or savepoint, so the connection is asked on return. */
  readonly transaction: boolean;
  /** It may attach a database or change temporary objects, so the connection is asked on return. */
  readonly schema: boolean;
  /** Settings it changes, in words: the connection is discarded on return. */
  readonly settings: readonly string[];
  /** Whether a prepared statement may serve again. A PRAGMA may take effect, or fix its answer, when it is prepared. */
  readonly cacheable: boolean;
}

/** Queries and data changes: nothing is left behind. */
export const plainTraits: SqlTraits = Object.freeze({
  transaction: false,
  schema: false,
  settings: [],
  cacheable: true,
});

// SQLite's tokens as far as they matter here. White space is what SQLite or better-sqlite3 takes for it. A doubled
// quote inside a quoted token reads as two tokens, which does no harm. What is unterminated runs to the end.
const tokenPattern =
  /[ \t\n\v\f\r\ufeff]+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/g;

const skipped = /^(?:[ \t\n\v\f\r\ufeff]|--|\/\*)/;
const quoted = /^['"`[]/;

// Verbs after which nothing has to be looked at. Tested before the statement is taken apart, because
// nearly every statement begins with one of them.
const plainStart = /^[ \t\n\f\r]*(?:SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE|VALUES)\b[^;]*(?:;[ \t\n\f\r]*)?$/i;

const control = new Set(['begin', 'commit', 'end', 'rollback', 'savepoint', 'release']);

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

// Pragmas that are stored in the file. That of the temporary database goes with the connection.
const inFile = new Set(['application_id', 'schema_version', 'user_version']);

/**
 * Tells what a statement, or a script of several, can leave behind. It errs on the side of "may": an answer of
 * `plainTraits` is certain, any other only costs a look at the connection, or a new one.
 */
export function classify(sql: string): SqlTraits {
  if (plainStart.test(sql)) return plainTraits;
  const traits: MutableTraits = { transaction: false, schema: false, settings: [], cacheable: true };
  for (const head of statements(sql)) note(head, traits);
  return traits;
}

type MutableTraits = { -readonly [Key in keyof SqlTraits]: SqlTraits[Key] } & { settings: string[] };

const createTrigger = /^create (?:temp |temporary )?trigger$/;

// CREATE TABLE IF NOT EXISTS schema . name
const headLength = 8;

/**
 * The statements of a script: of each its first words and punctuation from the verb on, unquoted and in lower case.
 * EXPLAIN is left out: it does not keep a PRAGMA from taking effect.
 */
function* statements(sql: string): Generator<string[]> {
  let head: string[] = [];
  // The two words before the present one, to find the end of a trigger's body.
  let [last, secondLast] = ['', ''];
  let inTrigger = false;
  for (const [token] of sql.matchAll(tokenPattern)) {
    if (skipped.test(token)) continue;
    if (token === ';' && !(inTrigger && !(last === 'end' && secondLast === ';'))) {
      if (head.length > 0) yield head;
      head = [];
      [last, secondLast, inTrigger] = ['', '', false];
      continue;
    }
    const word = (quoted.test(token) ? token.slice(1, -1) : token).toLowerCase();
    const explains =
      head.length === 0 &&
      (word === 'explain' || (last === 'explain' && word === 'query') || (last === 'query' && word === 'plan'));
    if (!explains && head.length < headLength) {
      head.push(word);
      // CREATE [TEMP] TRIGGER: its body has semicolons of its own, and is over at `; END ;` as in sqlite3_complete().
      inTrigger ||= createTrigger.test(head.join(' '));
    }
    [last, secondLast] = [word, last];
  }
  if (head.length > 0) yield head;
}

/** Whether a CREATE makes its object in the file: an index or trigger may be on a temporary table without saying so. */
function inMain([kind = '', ...rest]: readonly string[]): boolean {
  const isNamed = kind === 'table' || kind === 'view' || kind === 'virtual';
  return isNamed && !rest.includes('temp');
}

function note([verb = '', ...rest]: readonly string[], traits: MutableTraits): void {
  if (control.has(verb)) traits.transaction = true;
  else if (verb === 'pragma') {
    traits.cacheable = false;
    const schema = rest[1] === '.' ? rest[0] : 'main';
    const [name = '', mark] = rest[1] === '.' ? rest.slice(2) : rest;
    const harmless = asking.has(name) || (inFile.has(name) && schema !== 'temp');
    if ((mark === '=' || mark === '(') && !harmless) traits.settings.push(`pragma ${name}`);
  } else if (verb === 'detach') traits.settings.push('detached database');
  else if (schemaVerbs.has(verb) || (verb === 'create' && !inMain(rest))) traits.schema = true;
}
