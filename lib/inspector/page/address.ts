/** Where the page is mounted, with exactly one slash at its end: what it asks for lies below it. */
export function baseOf({ origin, pathname }: { readonly origin: string; readonly pathname: string }): string {
  // With the origin, since a path that begins with two slashes would be the name of another host.
  return `${origin}${pathname.replace(/\/*$/, '/')}`;
}

/** The report of what came after `tick`, or a complete one. */
export function dataAddress(
  base: string,
  after: { readonly tick: number; readonly server: string } | undefined,
): string {
  return after === undefined
    ? `${base}data`
    : `${base}data?after=${after.tick}&server=${encodeURIComponent(after.server)}`;
}

export function leaseAddress(base: string, pool: number, lease: number): string {
  return `${base}lease?pool=${pool}&lease=${lease}`;
}
