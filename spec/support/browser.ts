import { accessSync, constants } from 'node:fs';
import { delimiter, extname, join } from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import { registerSharedWorker } from 'ava/plugin';
import type { Browser, Page, ViewportSize } from 'playwright-core';
import type { Message } from './browser-worker.ts';

/** A page that was opened, and all that befell it. */
interface Visit {
  readonly page: Page;
  /** What it has asked for, in order: the method, and the address without its origin. */
  readonly requests: readonly string[];
  /** Errors and warnings of the console, what was thrown, what its policy forbade, what could not be loaded, and dialogs. */
  readonly troubles: readonly string[];
}

interface VisitOptions {
  /** 1280 × 800 unless given. */
  readonly viewport?: ViewportSize;
  readonly deviceScaleFactor?: number;
  readonly colorScheme?: 'light' | 'dark';
  /** `'reduce'` unless given: sixty frames a second are most of what a page costs. */
  readonly reducedMotion?: 'reduce' | 'no-preference';
  readonly forcedColors?: 'active' | 'none';
  /** Whether its timers are those of `page.clock`, and so can be moved on. */
  readonly movesTime?: boolean;
  /** Source that runs before any of the page. */
  readonly before?: string;
}

/** Opens an address in a window, until the test is over. Of a test, once. */
type Open = (url: string, options?: VisitOptions) => Promise<Visit>;

type BrowserTest = (title: string, run: (t: ExecutionContext, open: Open) => Promise<void>) => void;

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

const usualViewport: ViewportSize = { width: 1280, height: 800 };
const usualMedia = { colorScheme: 'light', reducedMotion: 'reduce', forcedColors: 'none' } as const;

/** Longer than anything takes on a busy machine, and short enough for what was waited for to be named. */
const patience = 25_000;

const filename = new URL(`browser-worker${extname(import.meta.url)}`, import.meta.url);

/** Path of a Chromium: that of CHROMIUM, which may be empty for none, or the first on the path. */
function findBrowser({ CHROMIUM: given, PATH = '' }: NodeJS.ProcessEnv): string | undefined {
  if (given !== undefined) return given || undefined;
  const places = PATH.split(delimiter).filter((place) => place !== '');
  return [...places, '/usr/bin'].flatMap((place) => names.map((name) => join(place, name))).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Tests in a browser, one after the other. It is started for the run, with a profile that is empty, by the first file that asks.
 * Where there is none they are skipped, and one more test says why.
 */
export function browserTests(test: TestFn): BrowserTest {
  const program = findBrowser(process.env);
  if (program === undefined) {
    test('a browser is needed for the tests that are skipped', (t) => {
      t.log('No Chromium was found. CHROMIUM may be set to the path of one.');
      t.pass();
    });
    return (title) => test.skip(title, () => {});
  }
  let connected: Promise<Browser> | undefined;
  let windows: Windows | undefined;
  // This ends what was opened by it, and not the browser. Where there was no connection the tests have said so.
  test.after.always(async () => {
    const browser = await connected?.catch(() => undefined);
    await browser?.close();
  });
  return (title, run) =>
    test.serial(title, async (t) => {
      connected ??= connect(program);
      windows ??= new Windows(await connected);
      const own = windows;
      await run(t, async (url, options = {}) => visit(await own.open(t, options), url));
    });
}

async function connect(program: string): Promise<Browser> {
  const worker = registerSharedWorker<Message>({ filename, supportedProtocols: ['ava-4'] });
  await worker.available;
  for await (const { data } of worker.publish({ type: 'start', program }).replies()) {
    if (data.type !== 'started')
      throw new Error(`No browser for these tests: ${data.type === 'failed' ? data.reason : ''}`);
    // Not at the top: a run without a browser is not to load it.
    const { chromium } = await import('playwright-core');
    return chromium.connect(data.endpoint);
  }
  throw new Error('No browser for these tests: the run is over.');
}

/** The windows of a file. To open one is half of what a test costs, so that all that need nothing special have the same. */
class Windows {
  readonly #browser: Browser;
  /** One whose time is its own, and one whose time can be moved. */
  readonly #kept = new Map<boolean, Promise<Page>>();

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** A page that shows nothing, until the test is over. */
  async open(t: ExecutionContext, options: VisitOptions): Promise<Page> {
    const { movesTime = false, before, deviceScaleFactor, viewport = usualViewport, ...media } = options;
    const isSpecial = before !== undefined || deviceScaleFactor !== undefined;
    const page = await (isSpecial ? this.#make(movesTime, deviceScaleFactor) : this.#keep(movesTime));
    t.teardown(() => (isSpecial ? page.context().close() : clear(page)));
    if (before !== undefined) await page.addInitScript(before);
    await page.setViewportSize(viewport);
    await page.emulateMedia({ ...usualMedia, ...media });
    return page;
  }

  #keep(movesTime: boolean): Promise<Page> {
    const page = this.#kept.get(movesTime) ?? this.#make(movesTime);
    this.#kept.set(movesTime, page);
    return page;
  }

  async #make(movesTime: boolean, deviceScaleFactor = 1): Promise<Page> {
    const context = await this.#browser.newContext({ deviceScaleFactor });
    context.setDefaultTimeout(patience);
    const page = await context.newPage();
    if (movesTime) await page.clock.install();
    // What is reported so is reported by the console, too, but for what only a listener hears of.
    await page.addInitScript(`addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      console.error('Against the policy: ' + violatedDirective + ' ' + blockedURI));`);
    return page;
  }
}

async function clear(page: Page): Promise<void> {
  page.removeAllListeners();
  await page.mouse.move(0, 0);
  await page.goto('about:blank');
}

/** Opens an address, and records what befalls it. */
async function visit(page: Page, url: string): Promise<Visit> {
  const requests: string[] = [];
  const troubles: string[] = [];
  page.on('request', (request) => {
    const { origin, pathname, search } = new URL(request.url());
    requests.push(`${request.method()} ${origin === new URL(url).origin ? '' : origin}${pathname}${search}`);
  });
  page.on('console', (message) => {
    if (['error', 'warning', 'assert'].includes(message.type())) troubles.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => troubles.push(`thrown: ${error.message}`));
  page.on('requestfailed', (request) => {
    const how = request.failure()?.errorText ?? '';
    // A page on a machine that stood still gives up its stream, and asks instead.
    if (how === 'net::ERR_ABORTED' && request.resourceType() === 'eventsource') return;
    troubles.push(`failed: ${new URL(request.url()).pathname} ${how}`);
  });
  page.on('dialog', (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url);
  return { page, requests, troubles };
}
