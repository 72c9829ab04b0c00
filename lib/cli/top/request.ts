import { visible } from '../text.ts';
import type { Address } from './address.ts';

/** An inspector that could not be asked: one sentence that says why, without the address. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
}

/** One to which no connection came about: what else could be asked of it would fail, too. */
export class UnreachableError extends LinkError {}

/** An answer with status 200 of the type that was asked for. @throws LinkError */
export async function ask(url: URL, address: Address, type: string, signal: AbortSignal): Promise<Response> {
  const headers = new Headers(address.headers);
  headers.set('accept', type);
  // Followed by hand: a header that lets somebody in is for this host alone.
  const init: RequestInit = { headers, signal, redirect: 'manual', cache: 'no-store' };
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    signal.throwIfAborted();
    const Failure = (codeOf(error) ?? '') in unreachable ? UnreachableError : LinkError;
    throw new Failure(reasonOf(error), { cause: error });
  }
  const found = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? 'of no type';
  if (response.status === 200 && found === type) return response;
  const reason =
    response.status === 200 ? `what is there is no inspector: it answers with ${found}` : await refusalOf(response);
  await response.body?.cancel().catch(() => {});
  throw new LinkError(visible(reason));
}

async function refusalOf(response: Response): Promise<string> {
  const { status, headers } = response;
  if (status === 401) return 'it asks who you are (401): put user:password@ into the URL, or use --header';
  if (status === 403) return `it refuses (403)${await sentenceOf(response)}`;
  if (status === 404) return 'there is no inspector at this path (404)';
  if (status >= 300 && status < 400) {
    const target = headers.get('location');
    return `it redirects (${status}) to ${target === null ? 'nowhere' : JSON.stringify(target)}, which is not followed`;
  }
  return `it answers with status ${status}`;
}

/** What the server says to the refusal, where that is a sentence. */
async function sentenceOf(response: Response): Promise<string> {
  if (response.headers.get('content-type')?.startsWith('text/plain') !== true) return '';
  try {
    const { value } = (await response.body?.getReader().read()) ?? {};
    const [line] = new TextDecoder().decode(value?.subarray(0, 400)).split(/[\r\n]/, 1);
    return line === undefined || line === '' ? '' : `: ${line.slice(0, 200)}`;
  } catch {
    return '';
  }
}

/** No connection came about, by code. */
const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host can not be looked up',
  ETIMEDOUT: 'the host does not answer',
  EHOSTUNREACH: 'the host can not be reached',
  ENETUNREACH: 'the network can not be reached',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer',
};

const reasons: Readonly<Record<string, string>> = {
  ...unreachable,
  ECONNRESET: 'the connection was closed',
  EPIPE: 'the connection was closed',
  UND_ERR_SOCKET: 'the connection was closed',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what is there does not speak https',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'what is there does not speak https',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
};

const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

/** What went wrong below HTTP, as a person would say it. */
export function reasonOf(error: unknown): string {
  const { cause = error } = error as { readonly cause?: unknown };
  const { message } = (cause ?? {}) as { readonly message?: unknown };
  const code = codeOf(error);
  if (code !== undefined) {
    if (untrusted.has(code))
      return `its certificate is not trusted (${code}): name its authority in NODE_EXTRA_CA_CERTS`;
    const reason = reasons[code];
    return reason === undefined ? `${String(message)} (${code})` : `${reason} (${code})`;
  }
  return typeof message === 'string' && message !== '' ? message : String(cause);
}

function codeOf(error: unknown): string | undefined {
  const { cause = error } = error as { readonly cause?: unknown };
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : undefined;
}
