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

const control = new Set(['begin', 'commit', 'end', 'rollback', 'savepoint', 'release']);

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
 * Tells what a statement, or a script of several, can leave behind. It errs on the side of "may": an answer of
 * `plainTraits` is certain, any other only costs a look at the connection, or a new one.
 */
export function classify(sql: string): SqlTraits {
  if (plainStart.test(sql)) return plainTraits;
  const traits: MutableTraits = { transaction: false, schema: false, settings: [], cacheable: true };
  for (const statement of statements(sql)) note(statement, traits);
  return traits;
}

type MutableTraits = { -readonly [Key in keyof SqlTraits]: SqlTraits[Key] } & { settings: string[] };

/** The beginning of a statement, and what else of it matters. */
interface Statement {
  /** Its first words and punctuation from the verb on, unquoted and in lower case. */
  readonly head: string[];
  /** Whether the word "temp" or "temporary" occurs anywhere, quoted or not. */
  temporary: boolean;
}

// PRAGMA schema . name =
const headLength = 5;

/** The statements of a script. EXPLAIN is left out: it does not keep a PRAGMA from taking effect. */
function* statements(sql: string): Generator<Statement> {
  let statement: Statement = { head: [], temporary: false };
  // The two words before the present one, to find the end of a trigger's body.
  let [last, secondLast] = ['', ''];
  let inTrigger = false;
  for (const [token] of sql.matchAll(tokenPattern)) {
    if (skipped.test(token)) continue;
    const { head } = statement;
    if (token === ';' && !(inTrigger && !(last === 'end' && secondLast === ';'))) {
      if (head.length > 0) yield statement;
      statement = { head: [], temporary: false };
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
      if (head[0] === 'create' && head.length <= 3 && word === 'trigger') inTrigger = true;
    }
    if (word === 'temp' || word === 'temporary') statement.temporary = true;
    [last, secondLast] = [word, last];
  }
  if (statement.head.length > 0) yield statement;
}

function note({ head, temporary }: Statement, traits: MutableTraits): void {
  const [verb = '', ...rest] = head;
  if (control.has(verb)) traits.transaction = true;
  else if (verb === 'pragma') {
    traits.cacheable = false;
    const [name = '', mark] = rest[1] === '.' ? rest.slice(2) : rest;
    if ((mark === '=' || mark === '(') && !harmlessWithArgument.has(name)) traits.settings.push(`pragma ${name}`);
  } else if (verb === 'detach') traits.settings.push('detached database');
  else if (verb === 'attach' || verb === 'drop' || verb === 'alter' || (verb === 'create' && temporary))
    traits.schema = true;
}
