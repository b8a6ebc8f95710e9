/** Zoom and pan of a view of fixed size, kept so that the picture always covers it. */

/** A point of the whole picture is drawn at `k * point + (x, y)`. */
export interface Viewport {
  readonly k: number;
  readonly x: number;
  readonly y: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const WHOLE: Viewport = { k: 1, x: 0, y: 0 };

const WHEEL_STEP = 0.002;
const LINE_HEIGHT = 16;
/** A pinch on a trackpad arrives as a wheel with Ctrl held, in steps smaller than a wheel's. */
const SMALLEST_WHEEL_STEP = 40;
const PINCH_GAIN = 10;
const LARGEST_FACTOR = 4;

export function clampViewport({ k, x, y }: Viewport, size: Size, mostK: number): Viewport {
  const scale = Math.min(Math.max(k, 1), Math.max(mostK, 1));
  const within = (value: number, length: number): number =>
    Math.min(0, Math.max(length * (1 - scale), value));
  return { k: scale, x: within(x, size.width), y: within(y, size.height) };
}

/** Zoom so that what is under a point stays there. */
export function zoomAbout(view: Viewport, at: Point, factor: number, mostK: number): Viewport {
  const k = Math.min(Math.max(view.k * factor, 1), Math.max(mostK, 1));
  const ratio = k / view.k;
  return { k, x: at.x - ratio * (at.x - view.x), y: at.y - ratio * (at.y - view.y) };
}

export function panned(view: Viewport, dx: number, dy: number): Viewport {
  return { k: view.k, x: view.x + dx, y: view.y + dy };
}

function middle(points: readonly [Point, Point]): Point {
  return { x: (points[0].x + points[1].x) / 2, y: (points[0].y + points[1].y) / 2 };
}

function spread([a, b]: readonly [Point, Point]): number {
  return Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
}

/** Two fingers moved: what lay midway between them stays midway between them. */
export function pinched(
  view: Viewport,
  before: readonly [Point, Point],
  after: readonly [Point, Point],
  mostK: number,
): Viewport {
  const from = middle(before);
  const to = middle(after);
  return panned(
    zoomAbout(view, from, spread(after) / spread(before), mostK),
    to.x - from.x,
    to.y - from.y,
  );
}

export interface Wheel {
  readonly deltaY: number;
  /** 0 pixels, 1 lines, 2 pages. */
  readonly deltaMode: number;
  readonly ctrlKey: boolean;
}

export function wheelFactor({ deltaY, deltaMode, ctrlKey }: Wheel, height: number): number {
  const pixels = deltaY * (deltaMode === 1 ? LINE_HEIGHT : deltaMode === 2 ? height : 1);
  const gain = ctrlKey && Math.abs(pixels) < SMALLEST_WHEEL_STEP ? PINCH_GAIN : 1;
  const factor = 2 ** (-pixels * WHEEL_STEP * gain);
  return Math.min(LARGEST_FACTOR, Math.max(1 / LARGEST_FACTOR, factor));
}
