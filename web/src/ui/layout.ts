/** How tiles share a stage: how many fit, and the columns and the width with which they are largest. Pure. */

export interface Layout {
  readonly columns: number;
  /** Of one tile, in CSS pixels. */
  readonly width: number;
}

const RATIO = 16 / 9;
/** Tiles on a phone may be less wide than a film: they are cut at the sides. */
const NARROW_RATIO = 4 / 3;
/** A stage is narrow when it is upright, and when nothing has room beside anything. */
const NARROW_WIDTH = 480;
/** A face that is smaller tells nobody anything. */
const MIN_WIDTH = 150;
const MAX_TILES = 9;
/** Of a tile beside the one that is large. */
const STRIP_WIDTH = { share: 0.18, min: 128, max: 220 };

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

/** How many tiles a page of the grid has. */
export function capacityOf(width: number, height: number, gap: number): number {
  const columns = fitting(width, MIN_WIDTH, gap);
  const rows = fitting(height, MIN_WIDTH / ratioOf(width, height), gap);
  return Math.min(columns * rows, MAX_TILES);
}

export interface Strip {
  /** How many tiles a page of the strip has. */
  readonly capacity: number;
  /** Of one tile, in CSS pixels. */
  readonly width: number;
}

/** The strip of tiles beside a large one: to its right on a wide stage, below it on a narrow one. */
export function stripOf(width: number, height: number, gap: number): Strip {
  const tile = Math.round(Math.min(Math.max(width * STRIP_WIDTH.share, STRIP_WIDTH.min), STRIP_WIDTH.max));
  const capacity = isNarrow(width, height)
    ? fitting(width, tile, gap)
    : fitting(height, tile / ratioOf(width, height), gap);
  return { capacity: Math.min(capacity, MAX_TILES), width: tile };
}

/** The shape of a tile, width by height. */
export function ratioOf(width: number, height: number): number {
  return isNarrow(width, height) ? NARROW_RATIO : RATIO;
}

export function isNarrow(width: number, height: number): boolean {
  return width < Math.max(height, NARROW_WIDTH);
}

function fitting(length: number, tile: number, gap: number): number {
  return Math.max(1, Math.floor((length + gap) / (tile + gap)));
}
