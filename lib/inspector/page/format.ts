// Controls, line and paragraph separators, and what turns the direction of text around it.
const unprintable = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A text from outside on one line, not longer than `most`. */
export function oneLine(text: string, most = 120): string {
  // Cut first: nothing is done with ten thousand characters of which a hundred are shown.
  const cut = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return cut.replace(unprintable, ' ');
}

/** A label as it is shown, also where there is none. */
export function labelOf(label: string | undefined, most?: number): string {
  return label === undefined || label === '' ? 'no label' : oneLine(label, most);
}

/** `0.04 ms`, `4.2 ms`, `840 ms`, `4.2 s`, `3.5 min`. */
export function duration(milliseconds: number): string {
  const { abs, round } = Math;
  if (!Number.isFinite(milliseconds)) return '∞';
  const size = abs(milliseconds);
  if (size < 0.995) return `${Number(milliseconds.toFixed(2))} ms`;
  if (size < 9.95) return `${Number(milliseconds.toFixed(1))} ms`;
  if (size < 999.5) return `${round(milliseconds)} ms`;
  if (size < 99_950) return `${Number((milliseconds / 1000).toFixed(1))} s`;
  if (size < 5_997_000) return `${Number((milliseconds / 60_000).toFixed(1))} min`;
  return `${Number((milliseconds / 3_600_000).toFixed(1))} h`;
}

/** A long time in its two largest units: `3 d 4 h`, `3 h 12 min`, `2 min 5 s`, `42 s`. */
export function longDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** `1 lease`, `1 234 leases`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${whole(number)} ${number === 1 ? noun : plural}`;
}

/** `1 234 567`, with spaces that do not break. */
export function whole(number: number): string {
  return String(Math.round(number)).replaceAll(/\B(?=(?:\d{3})+$)/g, '\u00a0');
}

/** `12 %`. */
export function share(part: number): string {
  return `${Math.round(Math.max(0, Math.min(1, part)) * 100)}\u00a0%`;
}

/** `12:04:10`, in the time zone of the reader. */
export function clockTime(at: number): string {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** `doubleReleases` → `double releases`. */
export function words(name: string): string {
  return oneLine(name).replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
