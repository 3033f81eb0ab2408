/** How tiles share a stage: the columns and the width with which they are largest. Pure. */

export interface Layout {
  readonly columns: number;
  /** Of one tile, in CSS pixels. */
  readonly width: number;
}

const RATIO = 16 / 9;
/** Tiles on a phone may be less wide than a film: they are cut at the sides. */
const NARROW_RATIO = 4 / 3;

/** Lay out `count` tiles on a stage of a width and height, with gaps between them, all in CSS pixels. */
export function layoutOf(count: number, width: number, height: number, gap: number): Layout {
  const ratio = ratioOf(width, height);
  let best: Layout = { columns: 1, width: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns++) {
    const rows = Math.ceil(count / columns);
    const fitting = Math.min((width - gap * (columns - 1)) / columns, ((height - gap * (rows - 1)) / rows) * ratio);
    if (fitting > best.width) best = { columns, width: Math.floor(fitting) };
  }
  return best;
}

/** The shape of a tile, width by height. */
export function ratioOf(width: number, height: number): number {
  return width < height ? NARROW_RATIO : RATIO;
}
