import test from 'ava';
import { type Chart, filesOf, inWords, type Mark, type Panel, picture, rangeOf } from '../bench/support/chart.ts';
import { draw } from '../bench/support/draw.ts';
import { duration } from '../bench/support/figures.ts';
import { element, escaped, text } from '../bench/support/svg.ts';
import { type Theme, themes } from '../bench/support/theme.ts';

const mark = (value: number, more: Partial<Mark> = {}): Mark => ({ tone: 'peer', value, text: `${value} ns`, ...more });
const panelOf = (marks: readonly Mark[], more: Partial<Panel> = {}): Panel => {
  const rows = marks.map((one, index) => ({ label: `row ${index}`, marks: [one] }));
  return { rows, range: rangeOf(rows), ...more };
};
const chartOf = (panels: readonly Panel[], more: Partial<Chart> = {}): Chart => ({
  id: 'it',
  title: 'What it is about',
  lead: 'Lower is better.',
  panels,
  across: 1,
  labels: 100,
  footer: ['Node v1', 'a machine'],
  ...more,
});

/** Attributes of every element of a kind, in order; the ground is the first rectangle. */
function elements(svg: string, name: string): Record<string, string>[] {
  return [...svg.matchAll(new RegExp(`<${name} ([^>]*?)/?>`, 'g'))].map(([, list = '']) =>
    Object.fromEntries([...list.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value])),
  );
}

const barsOf = (svg: string) =>
  elements(svg, 'rect')
    .slice(1)
    .map(({ x, width }) => ({ x: Number(x), width: Number(width) }));

/** Both ends of each whisker. */
const whiskersOf = (svg: string) =>
  elements(svg, 'path')
    .filter(({ stroke }) => stroke === themes.light.text)
    .map(({ d = '' }) => [...d.matchAll(/M([\d.]+) [\d.]+v10/g)].map(([, x]) => Number(x)));

test('bars are as long as their figures, from one zero, and whiskers end where the quartiles are', (t) => {
  const svg = draw(chartOf([panelOf([mark(100), mark(200, { quartiles: [150, 300] }), mark(0.0001)])]), themes.light);
  const [first, second, third] = barsOf(svg);
  t.true(first !== undefined && second !== undefined && third !== undefined);
  if (first === undefined || second === undefined || third === undefined) return;
  t.is(first.x, second.x);
  t.true(Math.abs(second.width - 2 * first.width) < 0.05);
  const [from, to] = whiskersOf(svg)[0] ?? [];
  t.true(Math.abs(Number(from) - (first.x + 1.5 * first.width)) < 0.05);
  t.true(Math.abs(Number(to) - (first.x + 3 * first.width)) < 0.05);
  t.is(whiskersOf(svg).length, 1, 'a figure of one round has none');
  t.is(third.width, 1.5, 'what is next to nothing is still seen');
});

test('a figure below zero goes the other way', (t) => {
  const [up, down] = barsOf(draw(chartOf([panelOf([mark(2), mark(-1)])]), themes.light));
  t.true(up !== undefined && down !== undefined);
  if (up === undefined || down === undefined) return;
  t.true(Math.abs(down.x + down.width - up.x) < 0.05);
  t.true(Math.abs(up.width - 2 * down.width) < 0.05);
});

test('on a logarithmic scale there are dots, each tenfold as far as the one before, and no bars', (t) => {
  const lines = [10, 100].map((at) => ({ at, text: `${at}`, strong: false }));
  const panel = panelOf([mark(1), mark(10), mark(100)], { range: [1, 1000], logarithmic: true, lines });
  const svg = draw(chartOf([panel]), themes.light);
  t.deepEqual(barsOf(svg), []);
  const [one = NaN, ten = NaN, hundred = NaN] = elements(svg, 'circle').map(({ cx }) => Number(cx));
  t.true(ten > one && Math.abs(ten - one - (hundred - ten)) < 0.05);
  t.deepEqual(
    elements(svg, 'line')
      .slice(0, 2)
      .map(({ x1 }) => Number(x1)),
    [ten, hundred],
  );
});

test('panels whose numbers differ in length have their scales in line', (t) => {
  const panels = [panelOf([mark(9, { text: '9' })]), panelOf([mark(9, { text: '9 000 000 ns' })])];
  const [first, second] = barsOf(draw(chartOf(panels), themes.light));
  t.deepEqual(first, second);
});

test('Leasehold is told from the others by colour and by weight, and the floor is an outline', (t) => {
  const svg = draw(chartOf([panelOf([mark(3, { tone: 'own' }), mark(3), mark(3, { tone: 'floor' })])]), themes.light);
  const [, own, peer, floor] = elements(svg, 'rect');
  t.is(new Set([own?.['fill'], peer?.['fill'], floor?.['fill']]).size, 3);
  t.is(floor?.['fill'], themes.light.ground);
  t.truthy(floor?.['stroke']);
  const bold = [...svg.matchAll(/<text [^>]*font-weight="700"[^>]*>([^<]*)</g)].map(([, content]) => content);
  t.deepEqual(bold, ['What it is about', 'row 0', '3 ns']);
});

test('a picture has a title and a description, and nothing in it that runs, is fetched or depends on a font', (t) => {
  const chart = chartOf([panelOf([mark(1)], { heading: 'a < b & "c"' })], {
    notes: ['a note'],
    legend: [{ tone: 'own', text: 'it' }],
  });
  for (const theme of Object.values(themes)) {
    const svg = draw(chart, theme);
    t.regex(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*role="img" aria-labelledby="title desc">/);
    t.regex(svg, /<title id="title">What it is about<\/title>/);
    t.true(svg.includes(`<desc id="desc">${escaped(inWords(chart))} Node v1, a machine.</desc>`));
    t.deepEqual(
      [...new Set([...svg.matchAll(/<([a-z]+)/gi)].map(([, name = '']) => name))].toSorted((a, b) =>
        a.localeCompare(b),
      ),
      ['desc', 'g', 'line', 'rect', 'svg', 'text', 'title'],
    );
    t.notRegex(svg.replace('http://www.w3.org/2000/svg', ''), /https?:|url\(|href|style|class| on\w+=/);
    t.deepEqual(
      [...svg.matchAll(/font-family="([^"]*)"/g)].map(([, family]) => family),
      ['system-ui, sans-serif'],
    );
  }
});

test('in words there is every number, and what it is of', (t) => {
  const rows = [
    { label: 'one query', marks: [mark(1, { name: 'Leasehold' }), mark(2, { name: 'the other' })] },
    {
      label: 'alone',
      marks: [
        mark(3, {
          asides: [
            { text: '7 of 8', alarming: true },
            { text: '4 ms', alarming: false },
          ],
        }),
      ],
    },
  ];
  const lines = [
    { at: 1, text: 'limit 1', strong: true },
    { at: 2, text: 'a tick', strong: false },
  ];
  const panel: Panel = { heading: 'Times', note: 'of 8', rows, range: [0, 3], lines, columns: ['failed', 'stall'] };
  t.is(
    inWords(chartOf([panel], { notes: ['A note.'] })),
    'What it is about. Lower is better. Times, of 8, limit 1: one query: Leasehold 1 ns, the other 2 ns; ' +
      'alone 3 ns, failed 7 of 8, stall 4 ms. A note.',
  );
});

test('a page shows the picture that suits it, with the words of it', (t) => {
  const chart = chartOf([panelOf([mark(1)])], { title: 'a "b" & <c>' });
  const { light, dark } = filesOf(chart);
  const html = picture(chart, 'some/where');
  t.true(html.includes(`<source media="(prefers-color-scheme: dark)" srcset="some/where/${dark}">`));
  t.true(
    html.includes(`<img src="some/where/${light}" width="840" alt="a &quot;b&quot; &amp; &lt;c&gt;. Lower is better.`),
  );
  // One line of each, and none of them empty: Markdown would end the HTML there.
  t.is(html.split('\n').length, 4);
});

test('what has a meaning in SVG is written as text', (t) => {
  t.is(text('text', { x: 1 / 3, fill: '"' }, 'a < b & c'), '<text x="0.33" fill="&quot;">a &lt; b &amp; c</text>');
  t.is(element('g', { x: -0.001 }, [element('line', {})]), '<g x="0">\n  <line/>\n</g>');
});

test('durations are read in one unit with three digits', (t) => {
  t.is(duration(2230, 2230), '2 230 ns');
  t.deepEqual(
    [484, 2548, 17_560, 99_960, 125_234].map((value) => duration(value, 125_234)),
    ['0.48 µs', '2.55 µs', '17.6 µs', '100 µs', '125 µs'],
  );
});

/** As the guidelines for accessible content of the web define it. */
function contrast(one: string, other: string): number {
  const [light = NaN, dark = NaN] = [one, other].map(luminance).toSorted((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: string): number {
  const [red = NaN, green = NaN, blue = NaN] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.040_45 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

for (const [name, theme] of Object.entries<Theme>(themes)) {
  test(`the ${name} picture can be read: text and marks stand out`, (t) => {
    for (const ink of [theme.text, theme.quiet, theme.alarm]) t.true(contrast(ink, theme.ground) >= 4.5, ink);
    for (const paint of Object.values(theme.marks)) t.true(contrast(paint, theme.ground) >= 3, paint);
  });
}
