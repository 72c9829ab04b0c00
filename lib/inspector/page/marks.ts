import type { Note } from '../wire.ts';
import type { Look } from './painter.ts';

type Shape = readonly (readonly [number, number])[];

// Each kind has a shape of its own, so that none is told by its colour alone. Corners of a path within -1 to 1.
const closedShapes: Partial<Record<Note['kind'], Shape>> = {
  leak: [
    [0, -1],
    [1, 0.9],
    [-1, 0.9],
  ],
  dirty: [
    [0, -1],
    [1, 0],
    [0, 1],
    [-1, 0],
  ],
  deadlock: [
    [-0.85, -0.85],
    [0.85, -0.85],
    [0.85, 0.85],
    [-0.85, 0.85],
  ],
  replace: [
    [-1, -0.9],
    [1, -0.9],
    [0, 1],
  ],
};
const strokes: Partial<Record<Note['kind'], readonly Shape[]>> = {
  timeout: [
    [
      [-0.9, -0.9],
      [0.9, 0.9],
    ],
    [
      [0.9, -0.9],
      [-0.9, 0.9],
    ],
  ],
  error: [
    [
      [0, -1],
      [0, 0.3],
    ],
    [
      [0, 0.8],
      [0, 1],
    ],
  ],
  discard: [
    [
      [-1, 0],
      [1, 0],
    ],
  ],
};

/** A mark at a place, of half the `size`, with a rim that parts it from what lies below. */
export function paintMark(
  { palette, ratio }: Look,
  context: CanvasRenderingContext2D,
  kind: Note['kind'],
  x: number,
  y: number,
  size: number,
): void {
  const closed = closedShapes[kind];
  context.beginPath();
  for (const shape of closed === undefined ? (strokes[kind] ?? []) : [closed]) {
    for (const [index, [dx, dy]] of shape.entries()) {
      if (index === 0) context.moveTo(x + dx * size, y + dy * size);
      else context.lineTo(x + dx * size, y + dy * size);
    }
    if (closed !== undefined) context.closePath();
  }
  context.strokeStyle = palette.panel;
  context.lineWidth = 4 * ratio;
  context.stroke();
  context.fillStyle = palette.panel;
  if (closed !== undefined) context.fill();
  context.strokeStyle = palette.bad;
  context.lineWidth = 1.6 * ratio;
  context.stroke();
}
