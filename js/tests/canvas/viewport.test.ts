/** Zoom, pan and pinch. */

import { describe, expect, it } from "vitest";
import {
  clampViewport,
  type Point,
  panned,
  pinched,
  type Viewport,
  WHOLE,
  wheelFactor,
  zoomAbout,
} from "../../src/canvas/viewport";

const SIZE = { width: 400, height: 200 };

/** The point of the whole picture that is drawn here. */
function under({ k, x, y }: Viewport, at: Point): Point {
  return { x: (at.x - x) / k, y: (at.y - y) / k };
}

describe("viewport", () => {
  it("keeps what is under the pointer while zooming", () => {
    const at = { x: 130, y: 40 };
    const view = zoomAbout({ k: 2, x: -50, y: -10 }, at, 3, 100);
    expect(view.k).toBe(6);
    expect(under(view, at)).toEqual(under({ k: 2, x: -50, y: -10 }, at));
    expect(zoomAbout(WHOLE, at, 1000, 8).k).toBe(8);
    expect(zoomAbout({ k: 2, x: 0, y: 0 }, at, 0.01, 8).k).toBe(1);
  });

  it("never shows what is not the picture", () => {
    expect(clampViewport({ k: 2, x: 90, y: -900 }, SIZE, 8)).toEqual({ k: 2, x: 0, y: -200 });
    expect(clampViewport(panned(WHOLE, 30, 30), SIZE, 8)).toEqual(WHOLE);
    expect(clampViewport({ k: 50, x: 0, y: 0 }, SIZE, 8).k).toBe(8);
  });

  it("keeps the middle of two fingers between them", () => {
    const before = [
      { x: 100, y: 100 },
      { x: 200, y: 100 },
    ] as const;
    const after = [
      { x: 80, y: 120 },
      { x: 280, y: 120 },
    ] as const;
    const view = pinched(WHOLE, [...before], [...after], 100);
    expect(view.k).toBe(2);
    expect(under(view, { x: 180, y: 120 })).toEqual({ x: 150, y: 100 });
    const moved = pinched(
      WHOLE,
      [...before],
      [
        { x: 110, y: 90 },
        { x: 210, y: 90 },
      ],
      100,
    );
    expect(moved).toEqual({ k: 1, x: 10, y: -10 });
    expect(Number.isFinite(pinched(WHOLE, [before[0], before[0]], [...after], 100).k)).toBe(true);
  });

  it("turns any wheel into a factor a person can follow", () => {
    const wheel = (deltaY: number, deltaMode = 0, ctrlKey = false): number =>
      wheelFactor({ deltaY, deltaMode, ctrlKey }, 200);
    expect(wheel(-100)).toBeCloseTo(2 ** 0.2);
    expect(wheel(100) * wheel(-100)).toBeCloseTo(1);
    expect(wheel(-3, 1)).toBeCloseTo(wheel(-48));
    expect(wheel(-2, 0, true)).toBeCloseTo(wheel(-20));
    expect(wheel(-100, 0, true)).toBeCloseTo(wheel(-100));
    expect(wheel(-1e6)).toBe(4);
  });
});
