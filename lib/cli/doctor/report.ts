import type { Paint, Style } from '../colours.ts';
import { visible, widthOf } from '../text.ts';
import { type Finding, groups, type State, states } from './finding.ts';

const styles: Readonly<Record<State, Style>> = { ok: 'green', note: 'cyan', warning: 'yellow', problem: 'alarm' };
const stateWidth = Math.max(...states.map((state) => state.length));

/** The findings for a person: grouped, aligned, with what to do below each that needs it. */
export function asText(name: string, findings: readonly Finding[], width: number, paint: Paint): string {
  const lines = [paint('bold', visible(name))];
  const titleWidth = Math.max(0, ...findings.map(({ title }) => title.length));
  const indent = 2 + stateWidth + 2 + titleWidth + 2;
  // Where little is left beside the titles, what was found stands below them.
  const isNarrow = width - indent < 30;
  const margin = isNarrow ? 4 : indent;
  for (const group of groups) {
    const own = findings.filter((finding) => finding.group === group);
    if (own.length === 0) continue;
    lines.push('', paint('bold', group));
    for (const { state, title, found, why, advice = [] } of own) {
      const head = `  ${paint(styles[state], state.padEnd(stateWidth))}  ${title.padEnd(titleWidth)}`;
      const body = wrap(visible(found), width - margin);
      if (isNarrow) lines.push(head.trimEnd(), ...body.map((line) => ' '.repeat(margin) + line));
      else lines.push(...body.map((line, row) => (row === 0 ? `${head}  ${line}` : ' '.repeat(margin) + line)));
      if (state === 'ok') continue;
      const rest = ' '.repeat(margin);
      if (why !== undefined) lines.push(...wrap(visible(why), width - margin).map((line) => rest + paint('dim', line)));
      for (const step of advice) {
        const wrapped = wrap(visible(step), width - margin - 2);
        lines.push(...wrapped.map((line, row) => `${rest}${row === 0 ? '→ ' : '  '}${line}`));
      }
    }
  }
  lines.push('', summary(findings, paint));
  return `${lines.join('\n')}\n`;
}

function summary(findings: readonly Finding[], paint: Paint): string {
  const counts = states
    .toReversed()
    .filter((state) => state !== 'ok')
    .map((state) => ({ state, count: findings.filter((finding) => finding.state === state).length }))
    .filter(({ count }) => count > 0)
    .map(({ state, count }) => paint(styles[state], `${count} ${state}${count === 1 ? '' : 's'}`));
  return counts.length === 0 ? paint('green', 'Nothing wrong was found.') : counts.join(', ');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** The findings for a program: an array, with the same keys in each. */
export function asJson(findings: readonly Finding[]): string {
  const plain = findings.map(({ id, group, state, title, found, why, advice }) => ({
    id,
    group,
    state,
    title,
    found,
    why: why ?? null,
    advice: advice ?? [],
  }));
  // A program reads the same; a terminal is not turned about by the name of a table.
  const text = JSON.stringify(plain, undefined, 2).replaceAll(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${text}\n`;
}
