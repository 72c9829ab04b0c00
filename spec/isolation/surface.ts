// What else of a connection can be called or used, each judged once. What is not here fails complete.spec.ts.

/** What calling a method leaves on its connection, and what becomes of that when the lease ends. */
export type MethodJudgement =
  /** Nothing beside its result. */
  | 'nothing'
  /** It runs SQL, and leaves what that leaves. */
  | 'SQL'
  /** Something that is undone: a transaction, an iterator. */
  | 'undone'
  /** Something for which the connection goes. */
  | 'discarded'
  /** Something of the statement it is called on, which the next user of the same SQL does not see. */
  | 'of the statement';

export const databaseMethods: Readonly<Record<string, MethodJudgement>> = {
  aggregate: 'discarded',
  backup: 'discarded',
  close: 'undone',
  defaultSafeIntegers: 'discarded',
  exec: 'SQL',
  explain: 'SQL',
  function: 'discarded',
  loadExtension: 'discarded',
  pragma: 'SQL',
  prepare: 'SQL',
  serialize: 'nothing',
  table: 'discarded',
  transaction: 'undone',
  unsafeMode: 'discarded',
};

/** Facts of the connection or the lease. None can be set. */
export const databaseProperties = ['inTransaction', 'memory', 'name', 'open', 'readonly'];

export const statementMethods: Readonly<Record<string, MethodJudgement>> = {
  all: 'SQL',
  bind: 'of the statement',
  columns: 'nothing',
  expand: 'of the statement',
  get: 'SQL',
  iterate: 'undone',
  pluck: 'of the statement',
  raw: 'of the statement',
  run: 'SQL',
  safeIntegers: 'of the statement',
  // Also a property of the table itself, so its type must be said.
  toString: 'nothing' as const,
};

export const statementProperties = ['busy', 'database', 'reader', 'readonly', 'source'];

export const iteratorMethods = ['next', 'return'];

export const iteratorProperties = ['statement'];

/** Functions of SQL by what calling them in a query does beside giving a value. */
export const functions = {
  /** They tell of what was written before, by whomever: see limits.spec.ts. */
  'tells of the past': ['changes', 'last_insert_rowid', 'total_changes'],
  /** It loads an extension, which better-sqlite3 does not allow. */
  refused: ['load_extension'],
  /** It names a tokenizer for the rest of the connection's life: see registered.spec.ts. */
  'changes the connection': ['fts3_tokenizer'],
  /** It writes to the file, though in a query: see snapshots.spec.ts. */
  writes: ['optimize'],
  /** From a generator of the process, which can not be set. */
  random: ['random', 'randomblob'],
  nothing: `
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling char coalesce concat concat_ws cos cosh count
    cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor format
    fts5 fts5_get_locale fts5_insttoken fts5_locale fts5_source_id geopoly_area geopoly_bbox geopoly_blob geopoly_ccw
    geopoly_contains_point geopoly_debug geopoly_group_bbox geopoly_json geopoly_overlap geopoly_regular geopoly_svg
    geopoly_within geopoly_xform glob group_concat hex highlight if ifnull iif instr json json_array json_array_insert
    json_array_length json_error_position json_extract json_group_array json_group_object json_insert json_object
    json_patch json_pretty json_quote json_remove json_replace json_set json_type json_valid jsonb jsonb_array
    jsonb_array_insert jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch
    jsonb_remove jsonb_replace jsonb_set julianday lag last_value lead length like likelihood likely ln log log10 log2
    lower ltrim match matchinfo max median min mod nth_value ntile nullif octet_length offsets percent_rank percentile
    percentile_cont percentile_disc pi pow power printf quote radians rank replace round row_number rtreecheck rtreedepth
    rtreenode rtrim sign sin sinh snippet soundex sqlite_compileoption_get sqlite_compileoption_used sqlite_log
    sqlite_source_id sqlite_version sqrt strftime string_agg substr substring subtype sum tan tanh time timediff total
    trim trunc typeof unhex unicode unistr unistr_quote unixepoch unlikely upper zeroblob`
    .trim()
    .split(/\s+/),
} as const satisfies Record<string, readonly string[]>;

/** Modules of virtual tables. What a table of one of them keeps is in its tables, which are of the file or temporary. */
export const modules = `dbstat fts3 fts3tokenize fts4 fts4aux fts5 fts5vocab geopoly rtree rtree_i32`.split(' ');

/** better-sqlite3 has no way to add one. */
export const collations = ['BINARY', 'NOCASE', 'RTRIM'];

/** What SQLite was built with or without. Another one may bring a kind of state that none of these tables knows. */
export const features = `
  ENABLE_COLUMN_METADATA ENABLE_DBSTAT_VTAB ENABLE_FTS3 ENABLE_FTS3_PARENTHESIS ENABLE_FTS4 ENABLE_FTS5 ENABLE_GEOPOLY
  ENABLE_MATH_FUNCTIONS ENABLE_PERCENTILE ENABLE_RTREE ENABLE_STAT4 ENABLE_UPDATE_DELETE_LIMIT OMIT_DEPRECATED
  OMIT_PROGRESS_CALLBACK OMIT_SHARED_CACHE OMIT_TCL_VARIABLE`
  .trim()
  .split(/\s+/);
