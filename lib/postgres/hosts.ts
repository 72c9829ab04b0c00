import { Client, type ClientConfig } from 'pg';
import { OptionsError } from '../errors.ts';
import { checkOptions, type Rule, rules } from '../rules.ts';

/** Which of several servers will do: any; one that can be written to; one that only reads, as a standby does. */
export type TargetSession = 'any' | 'read-write' | 'read-only';

/** What `postgres()` takes: what pg's `Client` takes, and where there are several servers, which of them will do. */
export interface PostgresConfig extends Omit<ClientConfig, 'pipeline'> {
  /**
   * Instead of `host` and `port`: `'db1:5432'`, tried in this order until one will do. In a connection string they stand side by
   * side: `postgres://user@db1:5432,db2:5432/app?target_session_attrs=read-write`.
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
const configRules = { hosts: hostsRule, targetSession } as const;

// What the value of an option is has no place in a message: it may be a password.
const expected = "a connection string 'postgres://…', or an object of options of pg's Client";

/** @throws OptionsError */
export function readHosts(given: unknown): Hosts {
  const config: PostgresConfig = typeof given === 'string' ? { connectionString: given } : checkConfig(given);
  const { hosts, targetSession: asked, ...rest } = config;
  checkSecretly(() => checkOptions({ hosts, targetSession: asked }, configRules));
  const { connectionString } = rest;
  if (connectionString !== undefined && !isConnectionString(connectionString)) throw unreadable(given);
  const several = typeof connectionString === 'string' ? splitUrl(connectionString) : undefined;
  if (several !== undefined && hosts !== undefined) {
    throw new OptionsError('hosts', hosts, 'absent where the connection string has several').withoutValue();
  }
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
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionsError('config', given, expected).withoutValue();
  }
  if ('pipeline' in given && given.pipeline === true) {
    throw new OptionsError(
      'pipeline',
      true,
      'false',
      'Cursors and transactions need an answer before what comes next.',
    );
  }
  return { ...given };
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

/** What pg's client has beside what is published. */
interface PgParameters {
  readonly connectionParameters: { readonly query_timeout?: number | string | false };
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
  const name = host.startsWith('/') ? `${host}:${port}` : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { host: { config, name }, client };
}
