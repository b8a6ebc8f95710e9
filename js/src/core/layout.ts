/** Where each unit of a layer is drawn, in cells; one cell a unit. */

/**
 * Tiles in rows, `across` a row, `gap` cells apart. A grid and a matrix are one tile; the last row
 * of a grid may be partly empty. Unit `u` is entry `u % (tileWidth * tileHeight)` of its tile.
 */
export interface Layout {
  readonly kind: "grid" | "matrix" | "mosaic";
  readonly units: number;
  readonly tiles: number;
  readonly tileWidth: number;
  readonly tileHeight: number;
  readonly across: number;
  readonly gap: number;
  readonly width: number;
  readonly height: number;
}

export interface Cell {
  readonly x: number;
  readonly y: number;
}

function product(shape: readonly number[]): number {
  return shape.reduce((all, size) => all * size, 1);
}

/** How many tiles to put in a row so that they are drawn as large as the view allows. */
export function bestAcross(
  tiles: number,
  tileWidth: number,
  tileHeight: number,
  gap: number,
  aspect: number,
): number {
  const guess = Math.sqrt((tiles * aspect * (tileHeight + gap)) / (tileWidth + gap));
  const from = Math.max(1, Math.floor(guess / 2));
  const to = Math.min(tiles, Math.ceil(guess * 2) + 1);
  let best = from;
  let bestScale = 0;
  for (let across = from; across <= to; across++) {
    const rows = Math.ceil(tiles / across);
    const width = across * (tileWidth + gap) - gap;
    const height = rows * (tileHeight + gap) - gap;
    const scale = Math.min(aspect / width, 1 / height);
    if (scale > bestScale * (1 + 1e-9)) {
      best = across;
      bestScale = scale;
    }
  }
  return best;
}

function single(kind: "grid" | "matrix", units: number, width: number, height: number): Layout {
  return {
    kind,
    units,
    tiles: 1,
    tileWidth: width,
    tileHeight: height,
    across: 1,
    gap: 0,
    width,
    height,
  };
}

/** Lay out a unit shape for a view of the given width by height. */
export function layoutUnits(shape: readonly number[], aspect: number): Layout {
  const units = product(shape);
  const [tiles = 1, ...rest] = shape;
  const tileWidth = rest[rest.length - 1] ?? 1;
  const tileHeight = product(rest) / tileWidth;
  if (shape.length < 2 || (shape.length > 2 && tileWidth * tileHeight === 1)) {
    const columns = bestAcross(units, 1, 1, 0, aspect);
    return single("grid", units, columns, Math.ceil(units / columns));
  }
  if (shape.length === 2) return single("matrix", units, tileWidth, tiles);
  const gap = Math.max(1, Math.round(Math.max(tileWidth, tileHeight) / 12));
  const across = bestAcross(tiles, tileWidth, tileHeight, gap, aspect);
  return {
    kind: "mosaic",
    units,
    tiles,
    tileWidth,
    tileHeight,
    across,
    gap,
    width: across * (tileWidth + gap) - gap,
    height: Math.ceil(tiles / across) * (tileHeight + gap) - gap,
  };
}

export function cellOf(layout: Layout, unit: number): Cell {
  const { tileWidth, tileHeight, across, gap } = layout;
  const area = tileWidth * tileHeight;
  const tile = Math.floor(unit / area);
  const entry = unit % area;
  return {
    x: (tile % across) * (tileWidth + gap) + (entry % tileWidth),
    y: Math.floor(tile / across) * (tileHeight + gap) + Math.floor(entry / tileWidth),
  };
}

/** The unit drawn at a point in cells, or null in a gap, an empty cell or outside. */
export function unitAt(layout: Layout, x: number, y: number): number | null {
  const { tileWidth, tileHeight, across, gap, tiles, units, width, height } = layout;
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return null;
  const column = Math.floor(x / (tileWidth + gap));
  const row = Math.floor(y / (tileHeight + gap));
  const innerX = Math.floor(x - column * (tileWidth + gap));
  const innerY = Math.floor(y - row * (tileHeight + gap));
  if (innerX >= tileWidth || innerY >= tileHeight) return null;
  const tile = row * across + column;
  const unit = (tile * tileHeight + innerY) * tileWidth + innerX;
  return tile < tiles && unit < units ? unit : null;
}

/** The unit of the highest level within a rectangle of cells, or null when it holds none. */
export function highestUnitIn(
  layout: Layout,
  levels: ArrayLike<number>,
  from: Cell,
  to: Cell,
): number | null {
  let best: number | null = null;
  let bestLevel = -1;
  for (let y = Math.floor(from.y); y < to.y; y++) {
    for (let x = Math.floor(from.x); x < to.x; x++) {
      const unit = unitAt(layout, x, y);
      if (unit === null) continue;
      const level = levels[unit] as number;
      if (level > bestLevel) {
        best = unit;
        bestLevel = level;
      }
    }
  }
  return best;
}

/** A unit's place in its layer's shape, outermost first. */
export function indexOf(shape: readonly number[], unit: number): number[] {
  const index: number[] = [];
  let rest = unit;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return index;
}

/** A unit's index in its layer's own order, where channels are the given axis and not the first. */
export function ownIndex(shape: readonly number[], channelAxis: number, unit: number): number {
  const index = indexOf(shape, unit);
  const sizes = [...shape];
  index.splice(channelAxis, 0, ...index.splice(0, 1));
  sizes.splice(channelAxis, 0, ...sizes.splice(0, 1));
  return index.reduce((flat, place, axis) => flat * (sizes[axis] as number) + place, 0);
}

/** A unit's place in words: "unit 17", "row 2, column 9", "channel 3, row 4, column 5". */
export function describeUnit(shape: readonly number[], unit: number): string {
  const index = indexOf(shape, unit);
  switch (shape.length) {
    case 0:
    case 1:
      return `unit ${unit}`;
    case 2:
      return `row ${index[0]}, column ${index[1]}`;
    case 3:
      return `channel ${index[0]}, row ${index[1]}, column ${index[2]}`;
    default:
      return `channel ${index[0]}, position (${index.slice(1).join(", ")})`;
  }
}
