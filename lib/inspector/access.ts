import { isIP } from 'node:net';

/** Who asks, as the server knows it. */
export interface Peer {
  /** Address that the connection comes from, as `socket.remoteAddress`. */
  readonly address?: string | undefined;
  /** Version of HTTP it speaks, as `request.httpVersion`. */
  readonly version?: string | undefined;
}

// What a proxy says of whom it has passed on. From behind one everybody seems to be on this machine.
const forwarding =
  /forwarded|client-?ip|real-ip|^(?:via|max-forwards|cdn-loop|x-ip|fly-ip|x-envoy-external-address)$|^(?:cf|tailscale|x-appengine|x-nginx|x-arr)-/;

/** Why a client is not taken for one on this machine, `undefined` where it is. */
export function strangeness({ headers }: Request, { address, version }: Peer): string | undefined {
  if (address === undefined) return 'it is not known where the request comes from';
  if (!isLoopback(address)) return 'the request comes from another machine';
  // Some say nothing of the kind, but speak a version that nobody else does any more.
  if (version === '1.0') return 'the request is one of HTTP/1.0, which proxies send';
  const passedOn = [...headers.keys()].find((name) => forwarding.test(name));
  if (passedOn !== undefined) return `the request was passed on by a proxy, as its "${passedOn}" header says`;
  // A page of somebody else's may have had its own name lead here.
  if (!isLoopbackHost(headers.get('host') ?? '')) return 'the host it was sent to is no loopback address';
  return undefined;
}

/** Whether a page of another origin has sent it. Such a page could not read the answer, but have one made. */
export function isCrossSite({ headers }: Request): boolean {
  const site = headers.get('sec-fetch-site');
  if (site !== null) return site !== 'same-origin' && site !== 'none';
  const origin = headers.get('origin');
  return origin !== null && hostOf(origin) !== headers.get('host')?.toLowerCase();
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

function isLoopback(address: string): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:/, '');
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1';
}

function isLoopbackHost(host: string): boolean {
  const url = `http://${host}`;
  if (!/^[\w.[\]:-]+$/.test(host) || !URL.canParse(url)) return false;
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopback(hostname.replace(/^\[|\]$/g, ''));
}
