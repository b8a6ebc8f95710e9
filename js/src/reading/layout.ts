/** The layout of a layer's units in cells, one cell a unit. */

/**
 * Tiles in rows, `across` a row, `gap` cells apart, and `rowGap` cells under each, for its label. A grid and a matrix are one tile; the last row of a grid may be partly empty. The
 * unit in place `u` is entry `u % (tileWidth * tileHeight)` of its tile.
 */
export interface Layout {
  readonly kind: "grid" | "matrix" | "mosaic";
  readonly units: number;
  readonly tiles: number;
  readonly tileWidth: number;
  readonly tileHeight: number;
  readonly across: number;
  readonly gap: number;
  readonly rowGap: number;
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

/** Of rows that are drawn this much as large as the largest, those with the fewest empty places. */
const NEARLY_LARGEST = 0.94;

/** How many tiles to put in a row so that they are drawn large and leave few places empty. */
function bestAcross(
  tiles: number,
  tileWidth: number,
  tileHeight: number,
  gap: number,
  rowGap: number,
  aspect: number,
): number {
  const guess = Math.sqrt((tiles * aspect * (tileHeight + rowGap)) / (tileWidth + gap));
  const from = Math.max(1, Math.floor(guess / 2));
  const to = Math.min(tiles, Math.ceil(guess * 2) + 1);
  const rowsOf = (across: number): number => Math.ceil(tiles / across);
  const scaleOf = (across: number): number => {
    const width = across * (tileWidth + gap) - gap;
    return Math.min(aspect / width, 1 / (rowsOf(across) * (tileHeight + rowGap)));
  };
  const all = Array.from({ length: to - from + 1 }, (_, step) => from + step);
  const least = NEARLY_LARGEST * all.reduce((most, across) => Math.max(most, scaleOf(across)), 0);
  const emptyIn = (across: number): number => rowsOf(across) * across - tiles;
  const better = (one: number, other: number): boolean =>
    emptyIn(one) < emptyIn(other) ||
    (emptyIn(one) === emptyIn(other) && scaleOf(one) > scaleOf(other) * (1 + 1e-9));
  return all
    .filter((across) => scaleOf(across) >= least)
    .reduce((best, across) => (better(across, best) ? across : best));
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
    rowGap: 0,
    width,
    height,
  };
}

/** More tiles than this would not have a pixel each. */
const TILES_MOST = 2 ** 14;

/** How units of a shape are laid out: a grid of units, a matrix, or a mosaic of channels. */
export function layoutKind(shape: readonly number[]): Layout["kind"] {
  if (shape.length < 2 || (shape.length > 2 && product(shape.slice(1)) === 1)) return "grid";
  if (shape.length === 2) return "matrix";
  return (shape[0] as number) > TILES_MOST ? "grid" : "mosaic";
}

/**
 * Lay out a unit shape for a view of the given width by height; `wanted` is how many units or tiles
 * a row is to have, or null for as many as make the picture largest.
 */
export function layoutUnits(
  shape: readonly number[],
  aspect: number,
  wanted: number | null = null,
): Layout {
  const units = product(shape);
  const [tiles = 1, ...rest] = shape;
  const tileWidth = rest[rest.length - 1] ?? 1;
  const tileHeight = product(rest) / tileWidth;
  const kind = layoutKind(shape);
  if (kind === "grid") {
    const columns = Math.min(wanted ?? bestAcross(units, 1, 1, 0, 0, aspect), units);
    return single("grid", units, columns, Math.ceil(units / columns));
  }
  if (kind === "matrix") return single("matrix", units, tileWidth, tiles);
  const gap = Math.max(1, Math.round(Math.max(tileWidth, tileHeight) / 12));
  const rowGap = Math.max(1, Math.round(tileHeight / 4.5));
  const best = bestAcross(tiles, tileWidth, tileHeight, gap, rowGap, aspect);
  const across = Math.min(wanted ?? best, tiles);
  return {
    kind: "mosaic",
    units,
    tiles,
    tileWidth,
    tileHeight,
    across,
    gap,
    rowGap,
    width: across * (tileWidth + gap) - gap,
    height: Math.ceil(tiles / across) * (tileHeight + rowGap),
  };
}

/** The first cell of a tile. */
export function tileCell(layout: Layout, tile: number): Cell {
  const { tileWidth, tileHeight, across, gap, rowGap } = layout;
  return {
    x: (tile % across) * (tileWidth + gap),
    y: Math.floor(tile / across) * (tileHeight + rowGap),
  };
}

export function cellOf(layout: Layout, unit: number): Cell {
  const { tileWidth, tileHeight } = layout;
  const area = tileWidth * tileHeight;
  const { x, y } = tileCell(layout, Math.floor(unit / area));
  const entry = unit % area;
  return { x: x + (entry % tileWidth), y: y + Math.floor(entry / tileWidth) };
}

/** The unit drawn at a point in cells, or null in a gap, an empty cell or outside. */
export function unitAt(layout: Layout, x: number, y: number): number | null {
  const { tileWidth, tileHeight, across, gap, rowGap, tiles, units, width, height } = layout;
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return null;
  const column = Math.floor(x / (tileWidth + gap));
  const row = Math.floor(y / (tileHeight + rowGap));
  const innerX = Math.floor(x - column * (tileWidth + gap));
  const innerY = Math.floor(y - row * (tileHeight + rowGap));
  if (innerX >= tileWidth || innerY >= tileHeight) return null;
  const tile = row * across + column;
  const unit = (tile * tileHeight + innerY) * tileWidth + innerX;
  return tile < tiles && unit < units ? unit : null;
}

/** The unit in a rectangle of cells whose level ranks first, or null when it holds none. */
export function foremostUnitIn(
  layout: Layout,
  levels: ArrayLike<number>,
  rankOf: (level: number) => number,
  from: Cell,
  to: Cell,
): number | null {
  let best: number | null = null;
  let bestRank = -1;
  const lastX = Math.min(to.x, layout.width);
  const lastY = Math.min(to.y, layout.height);
  for (let y = Math.max(0, Math.floor(from.y)); y < lastY; y++) {
    for (let x = Math.max(0, Math.floor(from.x)); x < lastX; x++) {
      const unit = unitAt(layout, x, y);
      if (unit === null) continue;
      const rank = rankOf(levels[unit] as number);
      if (rank > bestRank) {
        best = unit;
        bestRank = rank;
      }
    }
  }
  return best;
}

/** How many units lie in a rectangle of cells, and which: the first `most`, by ascending place. */
export function unitsIn(
  layout: Layout,
  from: Cell,
  to: Cell,
  most: number,
): { readonly units: number[]; readonly total: number } {
  const units: number[] = [];
  let total = 0;
  const { tileWidth, tileHeight, gap, rowGap, across, tiles } = layout;
  const left = Math.max(0, Math.floor(from.x));
  const right = Math.min(layout.width, Math.ceil(to.x));
  const top = Math.max(0, Math.floor(from.y));
  const bottom = Math.min(layout.height, Math.ceil(to.y));
  const firstColumn = Math.floor(left / (tileWidth + gap));
  const lastColumn = Math.min(across - 1, Math.floor((right - 1) / (tileWidth + gap)));
  const lastRow = Math.floor((bottom - 1) / (tileHeight + rowGap));
  for (let row = Math.floor(top / (tileHeight + rowGap)); row <= lastRow; row++) {
    for (let column = firstColumn; column <= lastColumn; column++) {
      const tile = row * across + column;
      if (tile >= tiles) continue;
      const corner = tileCell(layout, tile);
      const xFrom = Math.max(0, left - corner.x);
      const xTo = Math.min(tileWidth, right - corner.x);
      const yTo = Math.min(tileHeight, bottom - corner.y);
      for (let y = Math.max(0, top - corner.y); y < yTo; y++) {
        const line = (tile * tileHeight + y) * tileWidth;
        const end = Math.min(line + xTo, layout.units);
        for (let unit = line + xFrom; unit < end; unit++) {
          total++;
          if (units.length < most) units.push(unit);
        }
      }
    }
  }
  return { units, total };
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

/** How channels of an axis other than the first lie in a layer's own order. */
interface ChannelOrder {
  readonly channels: number;
  readonly before: number;
  readonly after: number;
}

function channelOrder(shape: readonly number[], channelAxis: number): ChannelOrder {
  const [channels = 1, ...rest] = shape;
  const before = product(rest.slice(0, channelAxis));
  return { channels, before, after: product(rest) / before };
}

/** A unit's index in its layer's own order, where channels are the given axis and not the first. */
export function ownIndex(shape: readonly number[], channelAxis: number, unit: number): number {
  if (channelAxis === 0) return unit;
  const { channels, before, after } = channelOrder(shape, channelAxis);
  const channel = Math.floor(unit / (before * after));
  const within = unit % (before * after);
  return (Math.floor(within / after) * channels + channel) * after + (within % after);
}

/** The unit that has this index in its layer's own order: the inverse of `ownIndex`. */
export function fromOwnIndex(shape: readonly number[], channelAxis: number, own: number): number {
  if (channelAxis === 0) return own;
  const { channels, before, after } = channelOrder(shape, channelAxis);
  const outer = Math.floor(own / after);
  return ((outer % channels) * before + Math.floor(outer / channels)) * after + (own % after);
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

/** A unit's place where room is short: "17", "2, 9", "3: 4, 5" with the channel first. */
export function shortName(shape: readonly number[], unit: number): string {
  const index = indexOf(shape, unit);
  if (shape.length < 2) return String(unit);
  if (shape.length === 2) return index.join(", ");
  return `${index[0]}: ${index.slice(1).join(", ")}`;
}
