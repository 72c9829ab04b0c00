import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benches } from './benches.ts';
import { filesOf, picture } from './support/chart.ts';
import { draw } from './support/draw.ts';
import { sectionsOf, withSection } from './support/markdown.ts';
import { machineParts, type Result, resultText } from './support/result.ts';
import { themes } from './support/theme.ts';

/** The repository. */
const root = fileURLToPath(new URL('..', import.meta.url));
const results = 'bench/results';
/** Pages with sections that are made of results. */
const pages = ['README.md', 'bench/README.md'];

/** Where the results of a bench are kept, of its last whole run. */
function keptIn(directory: string, name: string): string {
  return join(directory, results, `${name}.json`);
}

/** Keeps what a whole run has found in place of what the one before has. */
export function keep(result: Result, directory = root): void {
  const file = keptIn(directory, result.bench);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, resultText(result));
}

/** Everything that is made of the results that are kept, by path: all charts, and both pages with their sections as they should be. */
export function generate(directory = root): Map<string, string> {
  const files = new Map<string, string>();
  /** By name, for a page in this directory. */
  const sections = new Map<string, (page: string) => string>();
  for (const [name, { presentation }] of Object.entries(benches)) {
    const file = keptIn(directory, name);
    if (!existsSync(file)) continue;
    const result = JSON.parse(readFileSync(file, 'utf8')) as Result;
    sections.set(name, () => tablesOf(result));
    sections.set(`bars ${name}`, () => presentation.judgement(result));
    for (const chart of presentation.charts(result)) {
      const { light, dark } = filesOf(chart);
      files.set(join(results, light), draw(chart, themes.light));
      files.set(join(results, dark), draw(chart, themes.dark));
      sections.set(`chart ${chart.id}`, (page) => picture(chart, relative(dirname(page), results)));
    }
  }
  for (const page of pages) {
    let text = readFileSync(join(directory, page), 'utf8');
    for (const name of sectionsOf(text)) {
      const content = sections.get(name);
      if (content !== undefined) text = withSection(text, name, content(page));
      else if (isMisspelt(name, directory)) throw new Error(`${page} has a section "${name}", and no results have one`);
    }
    files.set(page, text);
  }
  return files;
}

/**
 * Whether a section that nothing is made for should have something: not one that is none of ours, and not one of a bench that
 * has not been run yet, which stays as it is.
 */
function isMisspelt(section: string, directory: string): boolean {
  const [, kind, bench = ''] = /^(chart |bars )?(\w+)/.exec(section) ?? [];
  return Object.hasOwn(benches, bench) ? existsSync(keptIn(directory, bench)) : kind !== undefined;
}

/** The machine and all tables of a run, in Markdown. */
export function tablesOf(result: Result): string {
  const { presentation } = benches[result.bench] ?? {};
  if (presentation === undefined) throw new Error(`There is no bench "${result.bench}"`);
  const parts = [machineParts(result.machine).join(' · '), presentation.tables(result), presentation.judgement(result)];
  return parts.filter((part) => part !== '').join('\n\n');
}

/** Charts that no result has any more. */
export function leftOver(directory = root): string[] {
  const made = generate(directory);
  return readdirSync(join(directory, results))
    .filter((name) => name.endsWith('.svg'))
    .map((name) => join(results, name))
    .filter((path) => !made.has(path));
}

/**
 * Writes everything that is made of the results that are kept.
 *
 * @returns the paths of what has changed
 */
export function writePages(directory = root): string[] {
  const changed = leftOver(directory);
  for (const path of changed) rmSync(join(directory, path));
  for (const [path, text] of generate(directory)) {
    const file = join(directory, path);
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    writeFileSync(file, text);
    changed.push(path);
  }
  return changed;
}
