const width = 40;

/** Shows how far something is, from 0 to 1: by a bar on a terminal, elsewhere by a line for each tenth. */
export function progress(title: string): (share: number) => void {
  const out = process.stdout;
  const step = out.isTTY ? 1 : 10;
  let shown = -1;
  return (share) => {
    const percent = Math.floor((share * 100) / step) * step;
    if (percent === shown) return;
    shown = percent;
    if (!out.isTTY) {
      out.write(`${title}: ${percent} %\n`);
      return;
    }
    const bar = '█'.repeat(Math.round(share * width)).padEnd(width, '░');
    out.write(`\r${title} ${bar} ${percent} %${percent === 100 ? '\n' : ''}`);
  };
}
