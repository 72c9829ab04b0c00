/** Characters of a label, of a name, or of what else is told by the hundred. */
export const longestLabel = 200;

/** The beginning of a text, as a string of its own: a part of another would keep that. */
export function excerpt(text: string, longest: number): string {
  return text.length <= longest ? text : `${Buffer.from(text.slice(0, longest)).toString()}…`;
}

export function labelOf(label: string | undefined): string | undefined {
  return label === undefined ? undefined : excerpt(label, longestLabel);
}
