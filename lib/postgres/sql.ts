/** What a text does beside its own business, as far as can be seen from it. */
export interface SqlTraits {
  /** None of what follows: most texts. */
  readonly plain: boolean;
  /** Begins or ends a transaction, or a part of one. */
  readonly transaction: boolean;
  /** Asks to be told of what others notify. */
  readonly listens: boolean;
  /** Prepared statements may be gone after it. */
  readonly deallocates: boolean;
  /** What it leaves in the session, in words. */
  readonly traces: readonly string[];
  /** Whether it may leave something of which nothing can be seen: a procedure, a block of code. */
  readonly opaque: boolean;
  /** Whether `DISCARD ALL` does not take it back. */
  readonly lasting: boolean;
}

const plainTraits: SqlTraits = Object.freeze({
  plain: true,
  transaction: false,
  listens: false,
  deallocates: false,
  traces: [],
  opaque: false,
  lasting: false,
});

// Programs run the same few texts again and again. Longer ones are mostly made for one use.
const kept = 1000;
const longestKept = 4000;
const known = new Map<string, SqlTraits>();

/**
 * Looks at the first words of each statement, and for the functions that change a session. What a function of the database does
 * within is not seen.
 */
export function classify(sql: string): SqlTraits {
  let traits = known.get(sql);
  if (traits !== undefined) return traits;
  traits = inspect(sql);
  if (sql.length <= longestKept) {
    if (known.size >= kept) known.clear();
    known.set(sql, traits);
  }
  return traits;
}

const control = new Set(['begin', 'commit', 'end', 'rollback', 'abort', 'savepoint', 'release']);
// These end what another session has prepared.
const prepared = /^(?:commit|rollback) prepared\b/;
const temporary =
  /\bcreate (?:or replace )?(?:(?:global|local) )?temp(?:orary)? |\binto (?:(?:global|local) )?temp(?:orary)? |\bpg_temp\b/;
const advisoryLock = /\bpg_(?:try_)?advisory_lock(?:_shared)? ?\(/;
// As long as no point says that it is the first part of a name.
const localSet = /^set (?:local|transaction|constraints)\b(?! ?\.)/;
// Its third argument says that it is to end with the transaction.
const localSetting = /\bset_config ?\((?:[^()]|\([^()]{0,200}\)){0,200}, ?true ?\)/g;
const setting = /\bset_config ?\(/;
const seed = /\bsetseed ?\(/;
// A function whose body is made of statements. The last one of it is END.
const body = /^create .*\bbegin atomic\b/;

function inspect(sql: string): SqlTraits {
  const traces = new Set<string>();
  let transaction = false;
  let listens = false;
  let deallocates = false;
  // Letters of a name may be written by their numbers.
  let opaque = /u&"/i.test(sql);
  let lasting = false;
  let isInBody = false;
  for (const statement of skeletonOf(sql).split(';')) {
    const text = statement.replace(/^[\s(]+/, '').replaceAll(/\s+/g, ' ');
    const [first = '', second = ''] = text.split(/[ (]/, 2);
    if (isInBody) {
      isInBody = first !== 'end';
      // It is not read closely.
      opaque = true;
      continue;
    }
    isInBody = body.test(text) && !/\bbegin atomic end ?$/.test(text);
    if (prepared.test(text)) continue;
    if (control.has(first) || (first === 'start' && second === 'transaction')) transaction = true;
    else if (first === 'prepare') {
      if (second === 'transaction') transaction = true;
      else traces.add('prepared statement');
    } else if (first === 'set') {
      if (!localSet.test(text)) traces.add('SET');
      // Which is no setting to go back to.
      lasting ||= /^set (?:session )?seed\b/.test(text);
    } else if (first === 'reset') traces.add('SET');
    else if (first === 'listen') {
      listens = true;
      traces.add('LISTEN');
    } else if (first === 'deallocate' || first === 'discard') {
      deallocates = true;
      opaque = true;
    } else if (first === 'load') {
      traces.add('LOAD');
      lasting = true;
    } else if (first === 'declare' && / with hold\b/.test(text)) traces.add('cursor WITH HOLD');
    else if (first === 'do' || first === 'call') opaque = true;
    if (temporary.test(text)) traces.add('temporary object');
    if (advisoryLock.test(text)) traces.add('advisory lock');
    if (setting.test(text) && setting.test(text.replaceAll(localSetting, ''))) traces.add('SET');
    // The same by another way.
    if (text.includes('pg_settings') && /\bupdate\b/.test(text)) traces.add('SET');
    if (seed.test(text)) {
      traces.add('random seed');
      lasting = true;
    }
  }
  if (!transaction && !opaque && traces.size === 0) return plainTraits;
  return { plain: false, transaction, listens, deallocates, traces: [...traces], opaque, lasting };
}

// Whatever may begin something that is not to be read as words.
const mark = /--|\/\*|'|"|\$(?:[a-z_\u0080-\u{10ffff}][\w\u0080-\u{10ffff}]*)?\$/giu;
const endOfName = /[\w$\u0080-\u{10ffff}]$/u;
const escaping = /(?:^|[^\w$\u0080-\u{10ffff}])e$/iu;
const restOfName = /[\w$\u0080-\u{10ffff}]*/uy;
const lineEnd = /[\n\r]/g;
// A string goes on in the next line.
const continued = /(?:[ \t\f\v]*(?:--[^\n\r]*)?[\n\r])+[ \t\f\v]*'/y;

/** The text in lower case without comments and without what is in strings; names in quotes as they are. */
function skeletonOf(sql: string): string {
  const pieces: string[] = [];
  let at = 0;
  for (;;) {
    mark.lastIndex = at;
    const found = mark.exec(sql);
    if (found === null) return pieces.join('') + sql.slice(at).toLowerCase();
    const { index } = found;
    const [begin] = found;
    // What comes right before it: all that counts of a name is its end.
    const before = sql.slice(Math.max(at, index - 2), index);
    pieces.push(sql.slice(at, index).toLowerCase());
    if (begin === '--') {
      at = endAt(lineEnd, sql, index);
      pieces.push(' ');
    } else if (begin === '/*') {
      at = endOfComment(sql, index + 2);
      pieces.push(' ');
    } else if (begin === "'") {
      at = endOfString(sql, index + 1, escaping.test(before));
      pieces.push(" '' ");
    } else if (begin === '"') {
      at = endOfQuoted(sql, index + 1, '"', false);
      // One word, whatever is in it.
      pieces.push(' ', sql.slice(index + 1, at - 1).replaceAll(/[\s;]/g, '_'), ' ');
    } else if (endOfName.test(before)) {
      // Within a name, where a dollar stands for itself.
      at = endAt(restOfName, sql, index);
      pieces.push(sql.slice(index, at).toLowerCase());
    } else {
      const end = sql.indexOf(begin, index + begin.length);
      at = end === -1 ? sql.length : end + begin.length;
      pieces.push(" '' ");
    }
  }
}

/** Where what is found from there on ends, else where the text does. */
function endAt(pattern: RegExp, sql: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(sql) === null ? sql.length : pattern.lastIndex;
}

/** Comments nest. */
function endOfComment(sql: string, from: number): number {
  const edge = /\/\*|\*\//g;
  let depth = 1;
  edge.lastIndex = from;
  while (depth > 0) {
    const found = edge.exec(sql);
    if (found === null) return sql.length;
    depth += found[0] === '/*' ? 1 : -1;
  }
  return edge.lastIndex;
}

function endOfString(sql: string, from: number, escapes: boolean): number {
  let at = endOfQuoted(sql, from, "'", escapes);
  if (!escapes) return at;
  for (;;) {
    continued.lastIndex = at;
    if (!continued.test(sql)) return at;
    at = endOfQuoted(sql, continued.lastIndex, "'", true);
  }
}

function endOfQuoted(sql: string, from: number, quote: string, escapes: boolean): number {
  for (let at = from; at < sql.length; at++) {
    if (escapes && sql[at] === '\\') at++;
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  return sql.length;
}
