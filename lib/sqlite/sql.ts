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

// SQLite's tokens as far as they matter here. White space is what SQLite takes for it, no more. A doubled
// quote inside a quoted token reads as two tokens, which does no harm. What is unterminated runs to the end.
const tokenPattern =
  /[ \t\n\f\r\ufeff]+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/g;

const skipped = /^(?:[ \t\n\f\r\ufeff]|--|\/\*)/;
const quoted = /^['"`[]/;

// Verbs after which nothing has to be looked at. Tested before the statement is taken apart, because
// nearly every statement begins with one of them.
const plainStart = /^[ \t\n\f\r]*(?:SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE|VALUES)\b[^;]*;?[ \t\n\f\r]*$/i;

const control = new Set(['BEGIN', 'COMMIT', 'END', 'ROLLBACK', 'SAVEPOINT', 'RELEASE']);

// Pragmas whose argument asks rather than sets, or sets what is stored in the file.
const harmlessWithArgument = new Set([
  'application_id',
  'foreign_key_check',
  'foreign_key_list',
  'incremental_vacuum',
  'index_info',
  'index_list',
  'index_xinfo',
  'integrity_check',
  'optimize',
  'quick_check',
  'schema_version',
  'table_info',
  'table_list',
  'table_xinfo',
  'user_version',
  'wal_checkpoint',
]);

/**
 * Tells what a statement, or a script of several, can leave behind. It errs on the side of "may": an answer
 * of `plainTraits` is certain, any other only costs a look at the connection or a new one.
 */
export function classify(sql: string): SqlTraits {
  if (plainStart.test(sql)) return plainTraits;
  const traits = { transaction: false, schema: false, settings: [] as string[], cacheable: true };
  for (const words of statements(sql)) note(words, traits);
  return traits;
}

/** The statements of a script, each as its words and punctuation, unquoted and in lower case. */
function* statements(sql: string): Generator<string[]> {
  let words: string[] = [];
  let inTrigger = false;
  for (const [token] of sql.matchAll(tokenPattern)) {
    if (skipped.test(token)) continue;
    if (token !== ';') {
      words.push((quoted.test(token) ? token.slice(1, -1) : token).toLowerCase());
      // CREATE [TEMP] TRIGGER: its body has semicolons of its own.
      if (words.length <= 5 && words[verbIndex(words)] === 'create' && token.toLowerCase() === 'trigger')
        inTrigger = true;
      continue;
    }
    // The body of a trigger is over at `; END ;`, as in sqlite3_complete().
    if (inTrigger && !(words.at(-1) === 'end' && words.at(-2) === ';')) {
      words.push(';');
      continue;
    }
    if (words.length > 0) yield words;
    words = [];
    inTrigger = false;
  }
  if (words.length > 0) yield words;
}

/** Where the verb is: EXPLAIN does not keep a PRAGMA from taking effect, so it is looked through. */
function verbIndex(words: readonly string[]): number {
  if (words[0] !== 'explain') return 0;
  return words[1] === 'query' ? 3 : 1;
}

function note(
  words: readonly string[],
  traits: { transaction: boolean; schema: boolean; settings: string[]; cacheable: boolean },
): void {
  const at = verbIndex(words);
  const verb = words[at] ?? '';
  if (control.has(verb.toUpperCase())) traits.transaction = true;
  else if (verb === 'pragma') {
    traits.cacheable = false;
    const name = words[at + 2] === '.' ? at + 3 : at + 1;
    const argument = words[name + 1] === '=' || words[name + 1] === '(';
    if (argument && !harmlessWithArgument.has(words[name] ?? '')) traits.settings.push(`pragma ${words[name]}`);
  } else if (verb === 'detach') traits.settings.push('detached database');
  else if (verb === 'attach' || verb === 'drop' || verb === 'alter') traits.schema = true;
  else if (verb === 'create' && (words.includes('temp') || words.includes('temporary'))) traits.schema = true;
}
