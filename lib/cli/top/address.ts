import { existsSync } from 'node:fs';
import { UsageError } from '../command.ts';

/** Where an inspector is, and what every request to it carries. */
export interface Address {
  /** Ends with a slash. Without user and password. */
  readonly base: URL;
  readonly headers: Headers;
  /** As it may be shown: it holds no secret. */
  readonly shown: string;
}

/**
 * @param text with or without `http://`, with or without a slash at its end, perhaps with `user:password@`
 * @param headers each `Name: value`
 * @throws UsageError
 */
export function readAddress(text: string, headers: readonly string[]): Address {
  const base = parse(text);
  const sent = new Headers();
  if (base.username !== '' || base.password !== '') {
    const [user, password] = [base.username, base.password].map(decoded);
    sent.set('authorization', `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
    base.username = '';
    base.password = '';
  }
  for (const header of headers) append(sent, header);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  base.hash = '';
  return { base, headers: sent, shown: base.host + base.pathname.slice(0, -1) };
}

/** Of one of its endpoints. What the page itself was asked with stays: a token may be in it. */
export function urlOf({ base }: Address, endpoint: string, query: Readonly<Record<string, string>> = {}): URL {
  const url = new URL(base);
  url.pathname += endpoint;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}

function parse(text: string): URL {
  const schemed = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  if (schemed && !/^https?:/i.test(text)) throw new UsageError(`${quotedAddress(text)} is neither http nor https.`);
  if (!schemed && existsSync(text)) {
    const path = JSON.stringify(text);
    throw new UsageError(`${path} is a file. Did you mean leasehold top --file ${path}?`);
  }
  const url = URL.parse(schemed ? text : `http://${text}`);
  if (url === null || url.hostname === '')
    throw new UsageError(`${quotedAddress(text)} is not the URL of an inspector.`);
  return url;
}

/** For a message. What is no URL may have a password or a token in it all the same. */
export function quotedAddress(text: string): string {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/)?(.*)$/is.exec(text) ?? [];
  return JSON.stringify(scheme + rest.slice(rest.lastIndexOf('@') + 1).replace(/[?#].*$/s, ''));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function append(headers: Headers, header: string): void {
  const colon = header.indexOf(':');
  const name = header.slice(0, Math.max(colon, 0)).trim();
  try {
    headers.append(name, header.slice(colon + 1).trim());
  } catch {
    // Its value is not repeated: it may be a secret.
    throw new UsageError(`--header is given as 'Name: value'; ${JSON.stringify(name)} is no such header.`);
  }
}
