/** Marks drawn over the colors: crosses, and numbers of units and channels. */

import { type Layout, tileCell, unitAt } from "../reading/layout";
import type { Placement } from "../ui/placement";
import { DEAD, DEAD_IN_BOTH, REVIVED } from "./levels";

interface MarkedPicture {
  readonly layout: Layout;
  /** In device pixels. */
  readonly at: Placement;
  readonly ratio: number;
  /** By place in the layout. */
  readonly levels: Uint8Array;
}

/** A unit is pointed at, or outlined, as if it were at least this large, in CSS pixels. */
export const LEAST_MARK = 4;
const CROSS_FROM = 16;
const NUMBER_FROM = 28;
const NUMBER_SIZE = 11;
const LABEL_FROM = 9;
const LABEL_SIZE = 11;
const MARKS_MOST = 4000;

/** Call for every unit in view, unless there are too many for marks of their own. */
function eachInView(
  context: CanvasRenderingContext2D,
  { layout, at }: MarkedPicture,
  draw: (place: number, x: number, y: number) => void,
): void {
  const { width, height } = context.canvas;
  const fromX = Math.max(0, Math.floor(-at.originX / at.scaleX));
  const fromY = Math.max(0, Math.floor(-at.originY / at.scaleY));
  const toX = Math.min(layout.width, Math.ceil((width - at.originX) / at.scaleX));
  const toY = Math.min(layout.height, Math.ceil((height - at.originY) / at.scaleY));
  if ((toX - fromX) * (toY - fromY) > MARKS_MOST) return;
  for (let y = fromY; y < toY; y++) {
    for (let x = fromX; x < toX; x++) {
      const place = unitAt(layout, x + 0.5, y + 0.5);
      if (place === null) continue;
      draw(place, at.originX + (x + 0.5) * at.scaleX, at.originY + (y + 0.5) * at.scaleY);
    }
  }
}

type Sign = (path: CanvasRenderingContext2D, x: number, y: number, arm: number) => void;

/** Second signs beside color: of death, and of what else became of a unit. */
const SIGNS: ReadonlyMap<number, Sign> = new Map<number, Sign>([
  [
    DEAD,
    (path, x, y, arm) => {
      path.moveTo(x - arm, y - arm);
      path.lineTo(x + arm, y + arm);
      path.moveTo(x - arm, y + arm);
      path.lineTo(x + arm, y - arm);
    },
  ],
  [
    REVIVED,
    (path, x, y, arm) => {
      path.moveTo(x + arm, y);
      path.arc(x, y, arm, 0, 2 * Math.PI);
    },
  ],
  [
    DEAD_IN_BOTH,
    (path, x, y, arm) => {
      path.moveTo(x - arm, y);
      path.lineTo(x + arm, y);
    },
  ],
]);

/** Signs in cells that are large enough to carry them. */
export function signMarks(
  context: CanvasRenderingContext2D,
  picture: MarkedPicture,
  inkOf: (level: number) => string,
): void {
  const { at, ratio, levels } = picture;
  const size = Math.min(at.scaleX, at.scaleY);
  if (size < CROSS_FROM * ratio) return;
  const arm = Math.min(size * 0.18, 7 * ratio);
  const lift = numbersFit(picture) ? size * 0.16 : 0;
  context.lineWidth = 1.5 * ratio;
  for (const [level, sign] of SIGNS) {
    context.beginPath();
    eachInView(context, picture, (place, x, y) => {
      if (levels[place] === level) sign(context, x, y - lift, arm);
    });
    context.strokeStyle = level === DEAD ? "rgb(255 255 255 / 0.9)" : inkOf(level);
    context.stroke();
  }
}

function numbersFit({ layout, at, ratio }: MarkedPicture): boolean {
  const digits = String(layout.units - 1).length;
  const width = Math.max(NUMBER_FROM, digits * 6.5 + 6) * ratio;
  return layout.kind === "grid" && at.scaleX >= width && at.scaleY >= NUMBER_FROM * ratio;
}

/** The index of each unit of a grid in its cell; `inkOf` gives the color legible on a level. */
export function numberUnits(
  context: CanvasRenderingContext2D,
  picture: MarkedPicture,
  font: string,
  unitOf: (place: number) => number,
  inkOf: (level: number) => string,
  hatched: { readonly level: number; readonly color: string },
): void {
  if (!numbersFit(picture)) return;
  const { at, ratio, levels } = picture;
  context.font = `${NUMBER_SIZE * ratio}px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  eachInView(context, picture, (place, x, y) => {
    const text = String(unitOf(place));
    const base = y + at.scaleY / 2 - 4 * ratio;
    if (levels[place] === hatched.level) {
      context.lineWidth = 4 * ratio;
      context.strokeStyle = hatched.color;
      context.strokeText(text, x, base);
    }
    context.fillStyle = inkOf(levels[place] as number);
    context.fillText(text, x, base);
  });
}

/** The index of each channel of a mosaic, under its tile. */
export function labelTiles(
  context: CanvasRenderingContext2D,
  { layout, at, ratio }: MarkedPicture,
  font: string,
  ink: string,
): void {
  const room = layout.rowGap * at.scaleY;
  const tileWidth = layout.tileWidth * at.scaleX;
  const digits = String(layout.tiles - 1).length;
  if (layout.kind !== "mosaic" || room < LABEL_FROM * ratio) return;
  const size = Math.min(LABEL_SIZE * ratio, room);
  if (tileWidth + layout.gap * at.scaleX < (digits + 1) * size * 0.6) return;
  const { width, height } = context.canvas;
  context.font = `${size}px ${font}`;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillStyle = ink;
  const rowHeight = (layout.tileHeight + layout.rowGap) * at.scaleY;
  const firstRow = Math.max(0, Math.floor(-at.originY / rowHeight));
  const lastRow = Math.min(
    Math.ceil(layout.tiles / layout.across) - 1,
    Math.floor((height - at.originY) / rowHeight),
  );
  for (let row = firstRow; row <= lastRow; row++) {
    for (let column = 0; column < layout.across; column++) {
      const tile = row * layout.across + column;
      if (tile >= layout.tiles) return;
      const corner = tileCell(layout, tile);
      const x = at.originX + corner.x * at.scaleX;
      if (x + tileWidth < 0 || x > width) continue;
      const y = at.originY + (corner.y + layout.tileHeight) * at.scaleY;
      context.fillText(String(tile), Math.max(x, Math.min(0, x + tileWidth - size)), y + ratio);
    }
  }
}
