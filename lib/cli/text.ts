/*
 * Text from outside on a terminal: a label may have been chosen by whoever sends requests. Nothing of it moves the cursor, colours
 * what follows, or takes more columns than it is counted for.
 */

/** ASCII, and what pictures are made of: every terminal knows that each of them is one column wide. */
export const plainText = /^[\x20-\x7e·▁-█░▒▓─…]*$/;
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** `text` as a terminal may be given it: one line, with a picture of each control character in its place. */
export function visible(text: string): string {
  if (plainText.test(text)) return text;
  let shown = '';
  for (const { segment } of graphemes.segment(text.toWellFormed())) shown += visibleCluster(segment);
  return shown;
}

// What is seen as one character. Terminals do not agree how wide it is where it is joined of several pictures, has a variant
// selected or a heap of accents: of those the first, the plain one, and two.
function visibleCluster(cluster: string): string {
  if (cluster.length === 1 && cluster >= ' ' && cluster <= '~') return cluster;
  let shown = '';
  let marks = 0;
  for (const char of cluster) {
    if (char === joiner && shown !== '') break;
    if (/\p{Cc}/u.test(char)) shown += controlPicture(char);
    else if (/[\u2028\u2029]/u.test(char)) shown += '\u240a';
    else if (/[\p{Cf}\p{Variation_Selector}\p{Emoji_Modifier}]/u.test(char))
      shown += reordering.test(char) ? '\ufffd' : '';
    else if (!/\p{M}/u.test(char)) shown += char;
    else if (++marks <= 2) shown += shown === '' ? `\u25cc${char}` : char;
  }
  return oneFlagHalf.test(shown) ? '\ufffd' : shown;
}

const joiner = '\u200d';
const reordering = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const oneFlagHalf = /^\p{Regional_Indicator}$/u;

function controlPicture(char: string): string {
  const code = char.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? '\u2421' : '\ufffd';
}

// East Asian wide and full width, and what is shown as a picture unless asked otherwise.
const wide =
  /^[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18aff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}\p{Regional_Indicator}]/u;
const widthless = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;

/** How many columns a text takes that `visible` gave. */
export function widthOf(text: string): number {
  if (plainText.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += clusterWidth(segment);
  return width;
}

function clusterWidth(cluster: string): number {
  if (wide.test(cluster)) return 2;
  return widthless.test(cluster) ? 0 : 1;
}

/** The beginning of a text that fits, with an ellipsis where something is left out. */
export function cut(text: string, width: number): string {
  if (width <= 0) return '';
  if (plainText.test(text)) return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
  if (widthOf(text) <= width) return text;
  let shown = '';
  let taken = 0;
  for (const { segment } of graphemes.segment(text)) {
    taken += clusterWidth(segment);
    if (taken > width - 1) break;
    shown += segment;
  }
  return `${shown}…`;
}

/** Cut or filled up to a width. */
export function pad(text: string, width: number): string {
  const shown = cut(text, width);
  return shown + ' '.repeat(Math.max(0, width - widthOf(shown)));
}

/** As `pad`, with the text at the right. */
export function padStart(text: string, width: number): string {
  const shown = cut(text, width);
  return ' '.repeat(Math.max(0, width - widthOf(shown))) + shown;
}
