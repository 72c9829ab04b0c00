import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HolderInfo, Site, WriteHolder } from './holder.ts';

// Controls, line and paragraph separators, and the bidi overrides: what could break out of a line of a log or
// reorder it.
const unprintable = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
const reordering = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

// Of a text from outside: a message with the label of a whole request body helps nobody.
const longestText = 500;

/** Makes text from outside safe for one line of a message. */
export function printable(text: string): string {
  const shown = text.length > longestText ? `${text.slice(0, longestText)}…` : text;
  // Half of a pair, be it cut here, can be written in no encoding.
  return shown.toWellFormed().replace(unprintable, escaped);
}

/** What `util.inspect` made, which escapes everything but marks that turn the direction of text. */
export function inOrder(inspected: string): string {
  return inspected.replace(reordering, escaped);
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** `lease #3 "GET /a" of "app"`, or what can be said of it. */
export function nameOf(what: string, label: string | undefined, pool: string): string {
  return `${what}${label === undefined ? '' : ` "${printable(label)}"`} of "${printable(pool)}"`;
}

/** A duration as a person reads it: `0.4 ms`, `840 ms`, `4.2 s`, `3.5 min`. */
export function formatDuration(duration: number): string {
  if (duration < 10) return `${Number(duration.toFixed(1))} ms`;
  if (Math.round(duration) < 1000) return `${Math.round(duration)} ms`;
  if (duration < 120_000) return `${(duration / 1000).toFixed(1)} s`;
  return `${(duration / 60_000).toFixed(1)} min`;
}

/** A size as a person reads it: `840 bytes`, `4.2 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 999_950) return `${(bytes / 1000).toFixed(1)} kB`;
  return bytes < 999_950_000 ? `${(bytes / 1_000_000).toFixed(1)} MB` : `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

/** A count with its noun: `1 iterator`, `2 iterators`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

// A frame that is somewhere in a file, and one of Node or of a package, this one included: seldom where the fault is.
const placedFrame = /:\d+:\d+\)?$/;
const foreignFrame = /[( ]node:|[/\\]node_modules[/\\]/;
// This package where it is linked instead of installed. Not where it is bundled: there the application is in the same file.
const here = /^.*\/(?=wording\.[jt]s$)/.exec(import.meta.url)?.[0];
// Of the application: a helper that wraps the pool, and whoever called it.
const framesShown = 2;

/**
 * The text of a captured stack, from the first frame that is not of this package. `undefined` where an application's
 * `Error.prepareStackTrace` makes no text of it, or throws.
 */
export function stackOf(site: Site | undefined): string | undefined {
  try {
    const stack: unknown = site?.stack;
    return typeof stack === 'string' ? withoutOurs(stack) : undefined;
  } catch {
    return undefined;
  }
}

function withoutOurs(stack: string): string {
  const [title, ...frames] = stack.split('\n');
  const first = frames.findIndex((frame) => !isHere(frame));
  return first <= 0 ? stack : [title, ...frames.slice(first)].join('\n');
}

// When a thousand waiters give up at once, each message names the same few holders.
const sites = new Map<string, string>();
const sitesKept = 64;

/**
 * Where in the application a stack was captured: `at withDb (db.ts:4:10) from report (server.ts:41:9)`, with paths
 * relative to the working directory. Empty without a frame.
 */
export function formatSite(stack: string | undefined): string {
  // In plain JavaScript it may be anything.
  if (typeof stack !== 'string') return '';
  let site = sites.get(stack);
  if (site === undefined) {
    site = siteIn(stack);
    if (sites.size >= sitesKept) sites.clear();
    sites.set(stack, site);
  }
  return site;
}

function siteIn(stack: string): string {
  const lines = stack.split('\n').filter((line) => line.trimStart().startsWith('at '));
  const frames = lines.filter((line) => placedFrame.test(line));
  const own = frames.filter((frame) => !isForeign(frame));
  const shown = own.length > 0 ? own.slice(0, framesShown) : frames.slice(0, 1);
  const places = shown.map((frame) => printable(shortened(frame.trim().replace(/^at (?:async )?/, ''))));
  return places.length === 0 ? '' : `at ${places.join(' from ')}`;
}

function isForeign(frame: string): boolean {
  return foreignFrame.test(frame) || isHere(frame);
}

function isHere(frame: string): boolean {
  return here !== undefined && frame.includes(here);
}

function shortened(place: string): string {
  return place.replace(/(?:file:\/\/|(?<=\(|^)\/).*(?=:\d+:\d+\)?$)/, (file) => {
    try {
      const path = file.startsWith('file:') ? fileURLToPath(file) : file;
      const inside = relative(process.cwd(), path);
      return inside.startsWith(`..${sep}`) ? path : inside;
    } catch {
      // Not a path of this machine, or the working directory is gone.
      return file;
    }
  });
}

function stateOf({ mode, inTransaction }: HolderInfo): string {
  if (mode === 'write') return inTransaction ? 'write transaction open, ' : 'may write, ';
  if (!inTransaction) return '';
  return mode === 'read' ? 'snapshot open, ' : 'transaction open, ';
}

/** What a holder is doing, for the end of a sentence: `transaction open, last used 4.1 s ago`. */
export function formatState(holder: HolderInfo): string {
  const pinned =
    holder.pinnedBytes === undefined ? '' : `, keeps ${formatBytes(holder.pinnedBytes)} of log from being reclaimed`;
  return `${stateOf(holder)}last used ${formatDuration(holder.idleFor)} ago${pinned}`;
}

/** One line a holder, indented below the sentence it explains. At most `limit` lines and a count of the rest. */
export function formatHolders(holders: readonly HolderInfo[], limit = 20): string {
  const lines = holders.slice(0, limit).map((holder) => {
    const label = printable(holder.label ?? 'no label').padEnd(16);
    const site = formatSite(holder.stack);
    return `\n  #${holder.id}  ${label}  ${formatDuration(holder.age)}   ${formatState(holder)}${site && `   ${site}`}`;
  });
  if (holders.length > limit) lines.push(`\n  … and ${holders.length - limit} more`);
  return lines.join('');
}

/** Who holds the right to write, as one indented line. */
export function formatWriteHolder({ pool, label, kind, age, lease, stack }: WriteHolder): string {
  const who = label === undefined ? 'no label' : printable(label);
  const used = lease === undefined ? '' : `, last used ${formatDuration(lease.idleFor)} ago`;
  const site = formatSite(stack ?? lease?.stack);
  return `\n  ${who}  ${kind} of pool "${printable(pool)}" for ${formatDuration(age)}${used}${site && `   ${site}`}`;
}
