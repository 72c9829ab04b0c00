const names = [
  ...(['panel', 'zebra', 'line', 'edge', 'ink', 'muted', 'accent', 'held', 'held-edge', 'held-ink', 'rest'] as const),
  ...(['write', 'write-ink', 'read', 'wait', 'bad', 'grid'] as const),
];

/** The colours of page.css, as a canvas understands them. */
export type Palette = Readonly<Record<(typeof names)[number], string>>;

/** Read from an element, since `light-dark()` is resolved only where a colour is used. */
export function paletteOf(): Palette {
  const probe = document.createElement('i');
  probe.hidden = true;
  document.body.append(probe);
  const colours = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color] as const;
  });
  probe.remove();
  return Object.fromEntries(colours) as Palette;
}
