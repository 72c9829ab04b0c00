// Every pragma of the build, each judged once. A newer SQLite with another one fails complete.spec.ts until it is judged.

/** What a pragma sets, and so what is to become of it when the lease ends. */
export type PragmaJudgement =
  /** A setting of its connection: that connection goes. `value` differs from what a new one has. */
  | {
      readonly of: 'connection';
      readonly value: string | number;
      /** SQLite ignores it without `unsafeMode`. */
      readonly unsafe?: true;
      /** There is no way to read it back by its own name. */
      readonly unreadable?: true;
    }
  /** Stored in the file, and so for everybody to see. */
  | {
      readonly of: 'file';
      readonly value: number /** SQLite ignores it without `unsafeMode`. */;
      readonly unsafe?: true;
    }
  /** To be stored in the file by the next VACUUM of that connection, or while it has no tables: the connection goes. */
  | { readonly of: 'file, later'; readonly value: string | number }
  /** A setting of the process, which no new connection undoes. */
  | { readonly of: 'process'; readonly value: string | number }
  /** It asks, or does something to the file at once. Each text is run. */
  | { readonly of: 'nothing'; readonly texts: readonly string[] };

const connection = (value: string | number) => ({ of: 'connection', value }) as const;
const nothing = (...texts: readonly string[]) => ({ of: 'nothing', texts }) as const;

export const pragmas: Readonly<Record<string, PragmaJudgement>> = {
  analysis_limit: connection(7),
  application_id: { of: 'file', value: 9 },
  auto_vacuum: { of: 'file, later', value: 2 },
  automatic_index: connection(0),
  busy_timeout: connection(77),
  cache_size: connection(321),
  cache_spill: connection(0),
  case_sensitive_like: { of: 'connection', value: 1, unreadable: true },
  cell_size_check: connection(1),
  checkpoint_fullfsync: connection(1),
  collation_list: nothing('collation_list'),
  compile_options: nothing('compile_options'),
  count_changes: connection(1),
  data_version: nothing('data_version'),
  database_list: nothing('database_list'),
  defer_foreign_keys: connection(1),
  empty_result_callbacks: connection(1),
  encoding: { of: 'file, later', value: "'UTF-16'" },
  foreign_key_check: nothing('foreign_key_check', 'foreign_key_check(tag)'),
  foreign_key_list: nothing('foreign_key_list(tag)'),
  foreign_keys: connection(0),
  freelist_count: nothing('freelist_count'),
  full_column_names: connection(1),
  fullfsync: connection(1),
  function_list: nothing('function_list'),
  hard_heap_limit: { of: 'process', value: 2_000_000_000 },
  ignore_check_constraints: connection(1),
  incremental_vacuum: nothing('incremental_vacuum', 'incremental_vacuum(3)'),
  index_info: nothing('index_info(tag_name)'),
  index_list: nothing('index_list(tag)', 'index_list = tag'),
  index_xinfo: nothing('index_xinfo(tag_name)'),
  integrity_check: nothing('integrity_check', 'integrity_check(1)', 'integrity_check(tag)'),
  journal_mode: connection('delete'),
  journal_size_limit: connection(4096),
  legacy_alter_table: connection(1),
  locking_mode: connection('exclusive'),
  max_page_count: connection(5000),
  mmap_size: connection(65_536),
  module_list: nothing('module_list'),
  optimize: nothing('optimize', 'optimize(0x10002)', 'optimize(-1)', 'temp.optimize'),
  page_count: nothing('page_count'),
  page_size: { of: 'file, later', value: 8192 },
  pragma_list: nothing('pragma_list'),
  query_only: connection(1),
  quick_check: nothing('quick_check', 'quick_check(1)'),
  read_uncommitted: connection(1),
  recursive_triggers: connection(1),
  reverse_unordered_selects: connection(1),
  schema_version: { of: 'file', value: 1000, unsafe: true },
  secure_delete: connection(1),
  short_column_names: connection(0),
  shrink_memory: nothing('shrink_memory'),
  soft_heap_limit: { of: 'process', value: 1_000_000_000 },
  synchronous: connection(0),
  table_info: nothing('table_info(tag)'),
  table_list: nothing('table_list', 'table_list(tag)'),
  table_xinfo: nothing('table_xinfo(tag)'),
  temp_store: connection(2),
  temp_store_directory: { of: 'process', value: "'/'" },
  threads: connection(2),
  trusted_schema: connection(0),
  user_version: { of: 'file', value: 7 },
  wal_autocheckpoint: connection(7),
  wal_checkpoint: nothing('wal_checkpoint', 'wal_checkpoint(PASSIVE)', 'wal_checkpoint(TRUNCATE)'),
  writable_schema: { of: 'connection', value: 1, unsafe: true },
};

/** Those of one judgement, by name. */
export function judged<Of extends PragmaJudgement['of']>(
  of: Of,
): (readonly [name: string, judgement: Extract<PragmaJudgement, { of: Of }>])[] {
  return Object.entries(pragmas).flatMap(([name, judgement]) =>
    judgement.of === of ? [[name, judgement as Extract<PragmaJudgement, { of: Of }>] as const] : [],
  );
}
