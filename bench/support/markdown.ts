/** A Markdown table with its columns in line, so that it reads as well in a terminal. Numbers align right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], right: readonly number[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(3, ...lines.map((line) => (line[column] ?? '').length)));
  const cell = (text: string, column: number) => {
    const room = ' '.repeat((widths[column] ?? 0) - text.length);
    return right.includes(column) ? room + text : text + room;
  };
  const format = (line: readonly string[]) => `| ${line.map(cell).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    right.includes(column) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [format(head), `| ${rule.join(' | ')} |`, ...rows.map(format)].join('\n');
}

/** 1234567 as `1 234 567`. */
export function grouped(count: number): string {
  return String(Math.round(count)).replaceAll(/\B(?=(?:\d{3})+$)/g, ' ');
}

/** What begins a section of a page, and its name. */
const beginning = /<!-- ([^>]*?): begin -->/g;

/** Names of all sections of a page that have markers, in order. */
export function sectionsOf(page: string): string[] {
  return [...page.matchAll(beginning)].map(([, name]) => name ?? '');
}

/** A page with something else between the markers of a section. */
export function withSection(page: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`There is no section between "${begin}" and "${end}"`);
  return `${page.slice(0, from + begin.length)}\n\n${content}\n\n${page.slice(to)}`;
}
