import { find, peekHead } from '../outside/peek.ts';

/** What a file may be that does not begin as a database does. */
export type Guess = 'blank' | 'damaged' | 'encrypted' | 'text' | 'unknown';

const length = 4096;

/** `undefined` where it can not be read. */
export function guessAt(path: string): Guess | undefined {
  try {
    const file = find(path);
    return file && guess(peekHead(file, length).head);
  } catch {
    return undefined;
  }
}

function guess(bytes: Buffer): Guess {
  if (bytes.every((byte) => byte === 0)) return 'blank';
  // Three numbers that the format fixes, after what is wrong: the size of a page may be any power of two.
  if (bytes.length > 100 && bytes.subarray(21, 24).equals(Buffer.of(64, 32, 32))) return 'damaged';
  if (bytes.every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d)) && isUtf8(bytes)) return 'text';
  return bytes.length === length && entropyOf(bytes) > 7.8 ? 'encrypted' : 'unknown';
}

function isUtf8(bytes: Buffer): boolean {
  // The last character may be cut off.
  return !bytes.toString('utf8').slice(0, -1).includes('\ufffd');
}

/** In bits a byte: what is encrypted, or compressed, looks like chance. */
function entropyOf(bytes: Buffer): number {
  const counts = new Map<number, number>();
  for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
  return [...counts.values()].reduce((sum, count) => sum - (count / bytes.length) * Math.log2(count / bytes.length), 0);
}
