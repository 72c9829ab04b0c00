import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test from 'ava';
import type { Page } from 'playwright-core';
import { browserTests } from './support/browser.ts';
import { temporaryFile } from './support/files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = join(root, 'bench', 'results');
const inBrowser = browserTests(test);

interface Box {
  readonly what: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where the browser has put what is in a picture, in pixels of the picture. */
function boxesOf(page: Page, selector: string): Promise<Box[]> {
  // As text: types of the browser are not known here.
  return page.evaluate<Box[]>(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((element) => {
    const { x, y, width, height } = element.getBBox();
    return { what: element.textContent, x, y, width, height };
  })`);
}

/** By how many pixels two boxes lie over each other, the smaller way. Below 0 where they are apart. */
function overlap(one: Box, other: Box): number {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  return Math.min(across, down);
}

for (const name of readdirSync(results).filter((file) => file.endsWith('.svg'))) {
  inBrowser(
    `in ${name} every text is within the picture, and none runs into another or into a bar`,
    async (t, open) => {
      const { page, troubles } = await open(pathToFileURL(join(results, name)).href);
      const [picture, ...bars] = await boxesOf(page, 'rect');
      const texts = await boxesOf(page, 'text');
      if (picture === undefined) throw new Error('It has no ground');
      t.true(texts.length > 10);
      for (const [index, text] of texts.entries()) {
        const right = picture.width - (text.x + text.width);
        t.true(Math.min(text.x, right) >= 12, `${text.what} is ${right} from the right edge`);
        t.true(text.y >= picture.y && text.y + text.height <= picture.y + picture.height, text.what);
        // Boxes of text are as high as the font, which is more than the letters are.
        for (const other of texts.slice(index + 1)) t.true(overlap(text, other) < 5, `${text.what} | ${other.what}`);
        for (const bar of bars) t.true(overlap(text, bar) < 1, `${text.what} | ${JSON.stringify(bar)}`);
      }
      t.deepEqual(troubles, []);
    },
  );
}

/** The charts of a page of the repository, as HTML. */
function chartsOf(page: string): string[] {
  const pictures = readFileSync(join(root, page), 'utf8').match(/<picture>[\s\S]*?<\/picture>/g) ?? [];
  return pictures.filter((picture) => picture.includes('results/'));
}

const shown = ['README.md', 'bench/README.md']
  .map((page) => ({ page, charts: chartsOf(page) }))
  .filter(({ charts }) => charts.length > 0);

for (const { page: path, charts } of shown) {
  for (const colorScheme of ['light', 'dark'] as const) {
    inBrowser(
      `who prefers ${colorScheme} sees the ${colorScheme} charts of ${path}, which ask for nothing`,
      async (t, open) => {
        const base = pathToFileURL(join(root, path)).href;
        const file = temporaryFile(t, 'page.html');
        writeFileSync(file, `<!doctype html><base href="${base}"><title>charts</title>${charts.join('')}`);
        const { page, requests, troubles } = await open(pathToFileURL(file).href, {
          colorScheme,
          viewport: { width: 420, height: 800 },
        });
        const images = await page.evaluate<{ source: string; width: number }[]>(`(async () => {
        const images = [...document.images];
        await Promise.all(images.map((image) => image.decode()));
        return images.map(({ currentSrc, naturalWidth }) => ({ source: currentSrc, width: naturalWidth }));
      })()`);
        const sources = charts.map((chart) => /src="([^"]+)\.light\.svg"/.exec(chart)?.[1] ?? '');
        t.deepEqual(
          images,
          sources.map((source) => ({ source: new URL(`${source}.${colorScheme}.svg`, base).href, width: 840 })),
        );
        // The page itself, and pictures of the same folder.
        const folder = pathToFileURL(results).pathname;
        const others = requests.filter((request) => !request.startsWith(`GET ${folder}`));
        t.is(others.length, 1, others.join(' '));
        // At times the picture for the other scheme is begun with before the browser has looked which one it wants.
        t.deepEqual(
          troubles.filter((trouble) => !trouble.endsWith('net::ERR_ABORTED')),
          [],
        );
      },
    );
  }
}
