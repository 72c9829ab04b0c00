import { readFile } from 'node:fs/promises';
import test from 'ava';

const style = await readFile(new URL('../../../lib/inspector/page/ground.css', import.meta.url), 'utf8');
const colours = new Map(
  [...style.matchAll(/--([\w-]+): light-dark\((#[\da-f]{6}), (#[\da-f]{6})\)/g)].map(([, name, light, dark]) => {
    return [name ?? '', { light: light ?? '', dark: dark ?? '' }] as const;
  }),
);

/** As WCAG 2 defines it: from 1, none, to 21. */
function contrast(first: string, second: string): number {
  const [dark = 0, light = 0] = [luminance(first), luminance(second)].toSorted((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// Texts: 4.5. What is drawn and has to be told from its ground: 3.
const texts = [
  ...['ink', 'muted', 'accent', 'good', 'bad'].flatMap((name) => [`${name} on panel`, `${name} on ground`]),
  'held-ink on held',
  'write-ink on write',
  'bad-ink on bad',
  'panel on ink',
];
const shapes = [
  ...['held-edge', 'write', 'read', 'wait', 'bad', 'edge', 'accent'].map((name) => `${name} on panel`),
  ...['read', 'write', 'accent', 'bad'].map((name) => `${name} on held`),
];

for (const theme of ['light', 'dark'] as const) {
  for (const [least, pairs] of [
    [4.5, texts],
    [3, shapes],
  ] as const) {
    for (const pair of pairs) {
      test(`${pair} has a contrast of ${least} in the ${theme} theme`, (t) => {
        const [first, second] = pair.split(' on ').map((name) => colours.get(name));
        t.truthy(first && second);
        const found = contrast(first?.[theme] ?? '', second?.[theme] ?? '');
        t.true(found >= least, `It is ${found.toFixed(2)}.`);
      });
    }
  }
}

test('every colour that is used has a value for both themes', async (t) => {
  const sheets = ['ground', 'header', 'gauges', 'lanes', 'charts', 'tables', 'dialog'];
  for (const sheet of sheets) {
    const text = await readFile(new URL(`../../../lib/inspector/page/${sheet}.css`, import.meta.url), 'utf8');
    for (const [, name = ''] of text.matchAll(/var\(--([\w-]+)\)/g)) t.true(colours.has(name), name);
  }
});
