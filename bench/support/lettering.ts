/**
 * Pixels of a picture that is 840 wide, as wide as a page of a repository is. A telephone shows it at half of that, so that
 * nothing is smaller than twice what can be read there.
 */
export const size = { title: 27, lead: 18, heading: 20, label: 18, small: 16 } as const;

/** In lines that are not wider than there is room. */
export function wrapped(words: readonly string[], between: string, room: number, fontSize: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    const longer = `${last ?? ''}${between}${word}`;
    if (last !== undefined && widthOf(longer, fontSize) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** An estimate that is wide enough for the fonts that systems have, of which DejaVu Sans is the widest. */
export function widthOf(content: string, fontSize: number, bold = false): number {
  return content.length * fontSize * (bold ? 0.62 : 0.54);
}
