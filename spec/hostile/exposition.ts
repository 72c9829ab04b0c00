/** One sample of the text that Prometheus scrapes. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const metricName = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const labelName = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const number = /[+-]?(?:Inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?)|NaN/iy;
const unescaped: Readonly<Record<string, string>> = { n: '\n', '"': '"', '\\': '\\' };

/**
 * Reads the text format of Prometheus, version 0.0.4, character by character and without mercy: what its grammar does not have
 * is an error. https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function parseExposition(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('The last line does not end');
  return text
    .slice(0, -1)
    .split('\n')
    .flatMap((line) => {
      if (line === '') return [];
      if (!line.startsWith('#')) return [sampleOf(line)];
      if (!/^# (?:HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* ./.test(line)) throw new Error(`No such comment: ${line}`);
      return [];
    });
}

function sampleOf(line: string): Sample {
  let at = 0;
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const [found] = pattern.exec(line) ?? [];
    if (found === undefined) throw new Error(`Expected ${pattern} at ${at} of ${line}`);
    at += found.length;
    return found;
  };
  const name = take(metricName);
  const labels: Record<string, string> = Object.create(null) as Record<string, string>;
  if (line[at] === '{') {
    at++;
    while (line[at] !== '}') {
      const label = take(labelName);
      take(/="/y);
      labels[label] = quotedText();
      if (line[at] === ',') at++;
      else if (line[at] !== '}') throw new Error(`Expected a comma at ${at} of ${line}`);
    }
    at++;
  }
  take(/ +/y);
  const value = take(number);
  if (at !== line.length) throw new Error(`More than a value: ${line}`);
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) };

  /** The rest of a quoted text, its end included. */
  function quotedText(): string {
    let text = '';
    for (;;) {
      const char = line[at++];
      if (char === '"') return text;
      if (char === undefined) throw new Error(`A text does not end: ${line}`);
      if (char !== '\\') text += char;
      else {
        const meant = unescaped[line[at++] ?? ''];
        if (meant === undefined) throw new Error(`No such escape at ${at} of ${line}`);
        text += meant;
      }
    }
  }
}
