import { Client, type ClientConfig } from 'pg';
import { OptionsError } from '../errors.ts';
import { poolRules } from '../options.ts';
import { checkOptions, type Rule, rules } from '../rules.ts';

/** Which of several servers will do: any; one that can be written to; one that only reads, as a standby does. */
export type TargetSession = 'any' | 'read-write' | 'read-only';

/** What `postgres()` takes: what pg's `Client` takes, and where there are several servers, which of them will do. */
export interface PostgresConfig extends Omit<ClientConfig, 'pipeline'> {
  /**
   * Instead of `host` and `port`: `'db1:5432'`, tried in this order until one will do; for half a minute after another than the
   * first has answered, from that one on. In a connection string they stand side by side:
   * `postgres://user@db1:5432,db2:5432/app?target_session_attrs=read-write`.
   */
  readonly hosts?: readonly string[] | undefined;

  /**
   * Which of the hosts will do.
   * @defaultValue 'any'
   */
  readonly targetSession?: TargetSession | undefined;
}

/** One way to a server: what pg's `Client` is made with. */
export interface Host {
  readonly config: ClientConfig;
  /** `db1:5432`, or the path of a socket. */
  readonly name: string;
}

/** Where to connect to, complete and checked. */
export interface Hosts {
  readonly all: readonly Host[];
  readonly targetSession: TargetSession;
  /** For messages: a URL without its secrets. */
  readonly target: string;
  readonly database: string;
  /** pg's `query_timeout`, 0 where there is none. */
  readonly queryTimeout: number;
}

const targetSession = rules.oneOf('any', 'read-write', 'read-only');
const hostName = /^(?:\[[\da-f:.%]+\]|[^\s:/@?#,]+)(?::\d{1,5})?$/i;
const hostsRule: Rule = {
  allowed: "a list of 'host' or 'host:port'",
  accepts: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((host) => typeof host === 'string' && hostName.test(host)),
};
// What they may be is pg's to say.
const any: Rule = { allowed: 'what pg takes', accepts: () => true };
/** All that pg's client looks at, published or not. */
const clientNames = (
  'user database password port host connectionString ssl sslnegotiation enableChannelBinding scramMaxIterations keepAlive ' +
  'keepAliveInitialDelayMillis connectionTimeoutMillis stream types binary client_encoding replication application_name ' +
  'fallback_application_name options statement_timeout lock_timeout query_timeout idle_in_transaction_session_timeout pipeline'
).split(' ');
/** What `pg.Pool` takes beside that. */
const pgPoolNames: ReadonlySet<string> = new Set(['idleTimeoutMillis', 'maxLifetimeSeconds', 'allowExitOnIdle']);
const configRules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(clientNames.map((name) => [name, any])),
  hosts: hostsRule,
  targetSession,
};

/** Whether it belongs to what `postgres()` takes. */
export function isOfConfig(option: string): boolean {
  return Object.hasOwn(configRules, option);
}

// What the value of an option is has no place in a message: it may be a password.
const expected = "a connection string 'postgres://…', or an object of options of pg's Client";

/** @throws OptionsError */
export function readHosts(given: unknown): Hosts {
  const config: PostgresConfig = typeof given === 'string' ? { connectionString: given } : checkConfig(given);
  const { hosts, targetSession: asked, ...rest } = config;
  const { connectionString } = rest;
  if (connectionString !== undefined && !isConnectionString(connectionString)) throw unreadable(given);
  if (connectionString !== undefined && hosts !== undefined) {
    throw new OptionsError(
      'hosts',
      hosts,
      'absent where there is a connection string, which may have several',
    ).withoutValue();
  }
  const several = typeof connectionString === 'string' ? splitUrl(connectionString) : undefined;
  const configs: ClientConfig[] = several?.urls.map((url) => ({ ...rest, connectionString: url })) ??
    hosts?.map((host) => ({ ...rest, ...addressOf(host) })) ?? [rest];
  const all = configs.map(hostOf);
  const [{ client }] = all as [ReturnType<typeof hostOf>];
  const database = client.database ?? '';
  // So pg takes a part of a password for it, where something in that was not escaped.
  if (connectionString !== undefined && /[@/]|password=/i.test(database)) throw unreadable(given);
  return {
    all: all.map(({ host }) => host),
    targetSession: asked ?? several?.targetSession ?? 'any',
    target: `postgres://${client.user ?? ''}@${all.map(({ host }) => host.name).join(',')}/${database}`,
    database,
    queryTimeout: Number((client as unknown as PgParameters).connectionParameters.query_timeout) || 0,
  };
}

function checkConfig(given: unknown): PostgresConfig {
  if (given instanceof URL) return { connectionString: given.href };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionsError('config', given, expected).withoutValue();
  }
  for (const name in given) {
    if (Object.hasOwn(poolRules, name) || pgPoolNames.has(name)) {
      throw new OptionsError(
        name,
        undefined,
        'absent',
        'It is an option of the pool: createPool(postgres(…), { … }).',
      ).withoutValue();
    }
  }
  if ('pipeline' in given && given.pipeline === true) {
    throw new OptionsError(
      'pipeline',
      true,
      'false',
      'Cursors and transactions need an answer before what comes next.',
    );
  }
  return checkSecretly(() => checkOptions(given, configRules));
}

/** What pg takes for a URL, or for a socket and a database. All else it would take for the name of a database. */
function isConnectionString(value: unknown): boolean {
  return typeof value === 'string' && /^(?:postgres(?:ql)?:\/\/|socket:|\/\S*(?: [^\s=]+)?$)/i.test(value);
}

function unreadable(config: unknown): OptionsError {
  const hint = 'It can not be read. What is special in a password has to be escaped in a URL: encodeURIComponent().';
  return new OptionsError('config', config, expected, hint).withoutValue();
}

/** What is wrong may have a secret in it. */
export function checkSecretly<Value>(check: () => Value): Value {
  try {
    return check();
  } catch (error) {
    throw error instanceof OptionsError ? error.withoutValue() : error;
  }
}

/** A URL for each of the hosts, as libpq has them. `undefined` for what is no URL: pg sees to that. */
function splitUrl(
  text: string,
): { readonly urls: string[]; readonly targetSession: TargetSession | undefined } | undefined {
  const parts = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/is.exec(text);
  if (parts === null) return undefined;
  const [, start = '', hosts = '', end = ''] = parts;
  const [path = '', query = ''] = end.split('?', 2);
  const params = new URLSearchParams(query);
  const asked = params.get('target_session_attrs') ?? undefined;
  if (asked === undefined && !hosts.includes(',')) return undefined;
  if (asked !== undefined && !targetSession.accepts(asked)) {
    throw new OptionsError('target_session_attrs', asked, targetSession.allowed).withoutValue();
  }
  params.delete('target_session_attrs');
  const rest = `${path}${params.size === 0 ? '' : `?${params.toString()}`}`;
  return {
    urls: hosts.split(',').map((host) => `${start}${host}${rest}`),
    targetSession: asked as TargetSession | undefined,
  };
}

function addressOf(host: string): { host: string; port?: number } {
  const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(host) ?? [];
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  return port === undefined ? { host: bare } : { host: bare, port: Number(port) };
}

/** In pg a connection string wins over what is beside it, and the pool has options to add. */
function withoutOptions({ connectionString }: ClientConfig): ClientConfig {
  const [start = '', query] = connectionString?.split('?', 2) ?? [];
  if (query === undefined) return {};
  const params = new URLSearchParams(query);
  params.delete('options');
  params.delete('query_timeout');
  return { connectionString: params.size === 0 ? start : `${start}?${params.toString()}` };
}

/** What pg's client has beside what is published. */
interface PgParameters {
  readonly connectionParameters: { readonly query_timeout?: number | string | false; readonly options?: string };
}

/** Has pg read it, with what the environment adds: so it is wrong now, or not at all. */
function hostOf(config: ClientConfig): { readonly host: Host; readonly client: Client } {
  let client: Client;
  try {
    client = new Client(config);
  } catch {
    // Its message, or a field of it, may have the whole connection string in it.
    throw unreadable(config);
  }
  const { host, port } = client;
  const { options } = (client as unknown as PgParameters).connectionParameters;
  const name = host.startsWith('/') ? `${host}:${port}` : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    host: { config: { ...config, ...(options !== undefined && { options }), ...withoutOptions(config) }, name },
    client,
  };
}
