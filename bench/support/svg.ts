type Attributes = Readonly<Record<string, string | number>>;

/** One element on a line of its own, with its children in lines below it. */
export function element(name: string, attributes: Attributes, children: readonly string[] = []): string {
  const start = `<${[name, ...Object.entries(attributes).map(attribute)].join(' ')}`;
  if (children.length === 0) return `${start}/>`;
  return [`${start}>`, ...children.map(indented), `</${name}>`].join('\n');
}

/** An element that has text and nothing else. */
export function text(name: string, attributes: Attributes, content: string): string {
  return `<${[name, ...Object.entries(attributes).map(attribute)].join(' ')}>${escaped(content)}</${name}>`;
}

/** As text and as a quoted attribute, of SVG and of HTML. */
export function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function attribute([name, value]: [string, string | number]): string {
  return `${name}="${typeof value === 'number' ? coordinate(value) : escaped(value)}"`;
}

/** A hundredth of a pixel is nothing to see, and what is beyond it may differ from one machine to the next. */
function coordinate(value: number): string {
  const rounded = Math.round(value * 100) / 100;
  return String(Object.is(rounded, -0) ? 0 : rounded);
}

function indented(lines: string): string {
  return lines.replaceAll(/^/gm, '  ');
}
