import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import test from 'ava';
import { bundlePage } from '../../../lib/inspector/page/bundle.ts';
import { page } from '../../../lib/inspector/page.generated.ts';

const generated = new URL('../../../lib/inspector/page.generated.ts', import.meta.url);
const directives = new Map(
  page.policy.split('; ').map((directive) => {
    const [name = '', ...sources] = directive.split(' ');
    return [name, sources.join(' ')];
  }),
);

function inline(name: string): readonly string[] {
  return [...page.html.matchAll(new RegExp(`<${name}\\b([^>]*)>([\\s\\S]*?)</${name}>`, 'g'))].map(
    ([, attributes, text]) => {
      if (attributes !== '') throw new Error(`A ${name} element has attributes.`);
      return text ?? '';
    },
  );
}

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

test('the page is made of the sources as they are', async (t) => {
  const made = await bundlePage();
  t.true(
    made === (await readFile(generated, 'utf8')),
    'page.generated.ts is not what its sources make: run `npm run page`.',
  );
});

test('the policy allows the one script and the one style of the page, and no other', (t) => {
  t.deepEqual(inline('script').map(hashOf), [directives.get('script-src')]);
  t.deepEqual(inline('style').map(hashOf), [directives.get('style-src')]);
});

test('the policy refuses all that is not named', (t) => {
  t.is(directives.get('default-src'), "'none'");
  t.is(directives.get('connect-src'), "'self'");
  for (const name of ['base-uri', 'form-action', 'frame-ancestors']) t.is(directives.get(name), "'none'");
  t.is(directives.get('require-trusted-types-for'), "'script'");
  t.notRegex(page.policy, /unsafe|\*|https?:/);
});

test('the page loads nothing', (t) => {
  const addresses = [...page.html.matchAll(/\b(?:src|href|action|srcset)\s*=\s*"([^"]*)"/g)].map(
    ([, address]) => address ?? '',
  );
  t.true(addresses.length > 0);
  for (const address of addresses) t.regex(address, /^(?:data:image\/svg\+xml,|#)/);
  t.notRegex(page.html, /@import|url\(/);
});

test('nothing in the page turns text into markup or code', (t) => {
  const sinks =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|setHTML|srcdoc|createContextualFragment/;
  t.notRegex(page.html, sinks);
});

test('the page has neither styles nor handlers as attributes, which its policy would refuse', (t) => {
  const markup = page.html.replaceAll(/<(script|style)>[\s\S]*?<\/\1>/g, '');
  t.notRegex(markup, /\s(?:style|on\w+)\s*=/);
  for (const script of inline('script')) t.notRegex(script, /setAttribute\(\s*["'`](?:style|on)/);
});

test('the page is small enough to be sent to a telephone', (t) => {
  t.true(Buffer.byteLength(page.html) < 120_000);
});
