import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, transform } from 'esbuild';

const folder = import.meta.dirname;
// In the order in which a later one may overrule an earlier one.
const styles = ['ground', 'header', 'gauges', 'lanes', 'charts', 'tables', 'dialog'];
const target = join(folder, '..', 'page.generated.ts');

/** The text of `page.generated.ts`: the same for the same sources, wherever and whenever it is made. */
export async function bundlePage(): Promise<string> {
  const [document, style, script] = await Promise.all([
    readFile(join(folder, 'page.html'), 'utf8'),
    styleOf(),
    scriptOf(),
  ]);
  if (/<\/style/i.test(style)) throw new Error('The style of the page would end its own element.');
  // What ends a script element, and what makes one go on beyond its end.
  if (/<\/script|<!--/i.test(script))
    throw new Error('The script of the page would end its own element, or never do so.');
  // Comments are for those who read the sources.
  const html = filled(
    filled(document.replaceAll(/\s*<!--[\s\S]*?-->/g, ''), '/* style */', style),
    '/* script */',
    script,
  );
  return [
    '// Made by `npm run page` from the sources in `page/`. Change those, not this.',
    '',
    '/** The document, and the Content-Security-Policy it is to be served with: nothing else runs in it, or is loaded by it. */',
    'export const page = {',
    `  html: ${literal(html)},`,
    `  policy: ${literal(policyOf(style, script))},`,
    '};',
    '',
  ].join('\n');
}

async function scriptOf(): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: folder,
    entryPoints: ['main.ts'],
    bundle: true,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    // Without the folder's own, which says nothing of use here, nothing of the machine decides about the outcome.
    tsconfigRaw: {},
    write: false,
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error('esbuild made nothing of main.ts.');
  return file.text;
}

async function styleOf(): Promise<string> {
  const sheets = await Promise.all(styles.map((name) => readFile(join(folder, `${name}.css`), 'utf8')));
  const { code } = await transform(sheets.join(''), { loader: 'css', minifyWhitespace: true, charset: 'utf8' });
  return code.replaceAll('}', '}\n').trim();
}

function policyOf(style: string, script: string): string {
  return [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function hashOf(source: string): string {
  return `sha256-${createHash('sha256').update(source).digest('base64')}`;
}

/** A function as the replacement, since `$&` in a text would mean something. */
function filled(document: string, place: string, source: string): string {
  if (document.split(place).length !== 2) throw new Error(`page.html is to have "${place}" once.`);
  return document.replace(place, () => source);
}

/** A template literal, so that a change of one line of the page is a change of one line. */
function literal(text: string): string {
  return `\`${text.replaceAll(/[\\`]|\$\{/g, String.raw`\$&`)}\``;
}

if (import.meta.main) await writeFile(target, await bundlePage());
