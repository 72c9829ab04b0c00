import type { Kind, Load } from './simulation.ts';

const requests: readonly Kind[] = [
  { label: 'GET /orders', weight: 40, hold: 30, does: 'read' },
  { label: 'GET /orders/:id', weight: 60, hold: 8, does: 'nothing' },
  { label: 'GET /report', weight: 3, hold: 1800, does: 'both' },
  { label: 'POST /orders', weight: 14, hold: 40, does: 'write' },
  { label: 'PATCH /stock', weight: 4, hold: 160, does: 'write' },
  { label: undefined, weight: 4, hold: 90, does: 'nothing' },
];
const wave = (base: number) => (at: number) => base * (1 + 0.8 * Math.sin(at / 4000) ** 3);
const usual = { max: 8, timeout: 5000, bars: 4, kinds: requests };

const notes = [
  { kind: 'leak', message: 'A lease of "app" is held for more than 2 s.' },
  { kind: 'dirty', message: 'A transaction was left open, and rolled back.' },
  { kind: 'discard', message: 'The connection was discarded: it has a user function.' },
  { kind: 'replace', message: 'The connection was replaced after 10 000 uses.' },
  { kind: 'error', message: 'SQLITE_IOERR: disk I/O error' },
  { kind: 'deadlock', message: 'Every lease is held by a scope that waits for another one.' },
] as const;

/** Pools to look at, by the path they are served below. */
export const loads: Readonly<Record<string, Load>> = {
  quiet: { ...usual, name: 'app', rate: () => 2 },
  busy: { ...usual, name: 'app', rate: wave(60), notes },
  full: { ...usual, name: 'orders', rate: wave(95), timeout: 2000, notes },
  dense: { ...usual, name: 'dense', max: 16, rate: () => 850, kinds: requests.slice(0, 2) },
  many: { ...usual, name: 'warehouse', max: 64, rate: wave(420), notes },
  closed: { ...usual, name: 'former', closed: true, rate: () => 20 },
  hostile: {
    ...usual,
    max: 4,
    rate: () => 20,
    timeout: 800,
    notes: [{ kind: 'error', message: '</script><b>bold</b>' }],
    name: '<img src=x onerror=alert(1)>',
    kinds: [
      { label: '<img src=x onerror=alert(1)>', weight: 4, hold: 300, does: 'read' },
      { label: 'a'.repeat(10_000), weight: 4, hold: 200, does: 'write' },
      { label: 'طلب المنتجات من المخزن', weight: 4, hold: 400, does: 'both' },
      { label: '\u202Etxt.exe\u2066\n\u0000\uD800', weight: 4, hold: 100, does: 'nothing' },
      { label: '</script><script>alert(1)</script>', weight: 4, hold: 250, does: 'write' },
      { label: '__proto__', weight: 2, hold: 250, does: 'nothing' },
      { label: '', weight: 2, hold: 250, does: 'nothing' },
    ],
  },
};
