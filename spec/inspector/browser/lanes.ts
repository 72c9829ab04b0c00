import type { Locator, Page } from 'playwright-core';

/** The picture of the leases: one part of the page for the keyboard. */
export function lanesOf(page: Page): Locator {
  return page.getByRole('application', { name: 'Leases on each connection' });
}

/** Until what was asked for so far has been painted. */
export function painted(page: Page): Promise<void> {
  return page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))');
}

/** Presses a key in the lanes until what is said then matches: what has just begun is painted a moment later. */
export async function pressUntil(page: Page, key: string, said: RegExp): Promise<string> {
  const spoken = page.locator('#spoken');
  for (let presses = 0; presses < 400; presses++) {
    await page.keyboard.press(key);
    const words = (await spoken.textContent()) ?? '';
    if (said.test(words)) return words;
    await painted(page);
  }
  throw new Error(`"${key}" leads to nothing of which is said ${said}; at last: ${await spoken.textContent()}`);
}

/** Moves the pointer over the right end of each lane until the tip says so, and gives the place. */
export async function pointAt(page: Page, said: RegExp): Promise<{ readonly x: number; readonly y: number }> {
  const tip = page.locator('#tip');
  for (let rounds = 0; rounds < 40; rounds++) {
    const box = await lanesOf(page).boundingBox();
    if (box === null) throw new Error('The lanes are not shown.');
    const x = box.x + box.width - 12;
    for (let y = box.y + 6; y < box.y + box.height; y += 12) {
      await page.mouse.move(x, y);
      await painted(page);
      if ((await tip.isVisible()) && said.test((await tip.textContent()) ?? '')) return { x, y };
    }
  }
  throw new Error(`No tip says ${said}.`);
}
