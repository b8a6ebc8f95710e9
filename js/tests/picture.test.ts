import { describe, expect, it } from "vitest";
import {
  buildPalette,
  DEAD_LEVEL,
  EMPTY_LEVEL,
  packColour,
  shareColour,
  shareLevels,
  toOklab,
} from "../src/core/colour";
import { cellOf, layoutUnits } from "../src/core/layout";
import { halve, Pyramid } from "../src/core/pooling";
import { GRID_LINE_FROM, rasterise } from "../src/core/raster";

describe("colours", () => {
  it("darken evenly with inactivity", () => {
    const lightness = Array.from({ length: 101 }, (_, step) => toOklab(shareColour(step / 100))[0]);
    const steps = lightness.slice(1).map((value, index) => (lightness[index] as number) - value);
    expect(Math.min(...steps)).toBeGreaterThan(0);
    expect(Math.max(...steps)).toBeLessThan(3 * (steps.reduce((a, b) => a + b) / steps.length));
    expect(lightness[0]).toBeGreaterThan(0.94);
  });

  it("keep dead and empty apart from every share", () => {
    const palette = buildPalette([1, 2, 3], [255, 0, 0]);
    expect(palette[EMPTY_LEVEL]).toBe(packColour([1, 2, 3]));
    expect(palette[DEAD_LEVEL]).toBe(packColour([255, 0, 0]));
    expect(packColour([1, 2, 3])).toBe(0xff030201);
  });

  it("are reserved: only a full count is dead, no count is empty", () => {
    const probes = 1_000_000;
    expect(Array.from(shareLevels([0, 1, probes - 1, probes], probes))).toEqual([1, 1, 254, 255]);
    expect(Array.from(shareLevels([0, 0], 0))).toEqual([EMPTY_LEVEL, EMPTY_LEVEL]);
  });
});

describe("pooling", () => {
  it("keeps the highest level of each block, within its tile", () => {
    const data = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    const pooled = halve({ data, tileWidth: 3, tileHeight: 3 }, 2);
    expect(pooled).toMatchObject({ tileWidth: 2, tileHeight: 2 });
    expect(Array.from(pooled.data)).toEqual([5, 6, 8, 9, 15, 16, 18, 19]);
  });

  it("copes with a grid whose last row is cut short", () => {
    const pooled = halve(
      { data: Uint8Array.from([1, 2, 3, 4, 9]), tileWidth: 4, tileHeight: 2 },
      1,
    );
    expect(Array.from(pooled.data)).toEqual([9, 4]);
  });

  it("never loses a lone dead unit, at any depth", () => {
    for (const shape of [[997], [31, 45], [13, 9, 7]]) {
      const layout = layoutUnits(shape, 1.7);
      for (let unit = 0; unit < layout.units; unit += 37) {
        const levels = new Uint8Array(layout.units).fill(1);
        levels[unit] = DEAD_LEVEL;
        const pyramid = new Pyramid(layout, levels);
        for (let depth = 0; depth < 7; depth++) {
          expect(pyramid.at(depth).data.filter((level) => level === DEAD_LEVEL).length).toBe(1);
        }
      }
    }
  });
});

describe("rasterise", () => {
  const fitScale = (width: number, height: number, cellsX: number, cellsY: number) => {
    const scale = Math.min(width / cellsX, height / cellsY);
    return { originX: 0, originY: 0, scaleX: scale, scaleY: scale };
  };

  it("shows a lone dead unit at every zoom", () => {
    const width = 61;
    const height = 37;
    for (const shape of [[9001], [200, 333], [50, 15, 13], [300, 7, 7]]) {
      const layout = layoutUnits(shape, width / height);
      for (let unit = 3; unit < layout.units; unit += Math.ceil(layout.units / 60)) {
        const levels = new Uint8Array(layout.units).fill(1);
        levels[unit] = DEAD_LEVEL;
        const pyramid = new Pyramid(layout, levels);
        const whole = fitScale(width, height, layout.width, layout.height);
        const cell = cellOf(layout, unit);
        for (const zoom of [1, 1.7, 3, 11, 60]) {
          const scale = whole.scaleX * zoom;
          const placement = {
            originX: width / 2 - (cell.x + 0.5) * scale,
            originY: height / 2 - (cell.y + 0.5) * scale,
            scaleX: scale,
            scaleY: scale,
          };
          const out = new Uint8Array(width * height);
          rasterise(pyramid, placement, width, height, out);
          expect(out.includes(DEAD_LEVEL)).toBe(true);
        }
      }
    }
  });

  it("leaves no holes inside a dense picture", () => {
    const layout = layoutUnits([100, 100], 1);
    const pyramid = new Pyramid(layout, new Uint8Array(10000).fill(7));
    for (const scale of [0.07, 0.13, 0.31, 0.5, 0.77, 0.999, 1, 1.3, 3]) {
      const side = Math.floor(100 * scale);
      const out = new Uint8Array(side * side);
      const placement = { originX: 0, originY: 0, scaleX: scale, scaleY: scale };
      rasterise(pyramid, placement, side, side, out);
      expect(out.every((level) => level === 7)).toBe(true);
    }
  });

  it("puts lines between large cells and nothing around the layer", () => {
    const layout = layoutUnits([2, 2], 1);
    const pyramid = new Pyramid(layout, Uint8Array.from([10, 20, 30, 40]));
    const scale = GRID_LINE_FROM + 1;
    const out = new Uint8Array(24 * 24);
    rasterise(pyramid, { originX: 4, originY: 4, scaleX: scale, scaleY: scale }, 24, 24, out);
    const at = (x: number, y: number): number | undefined => out[y * 24 + x];
    expect([at(5, 5), at(13, 5), at(5, 13), at(13, 13)]).toEqual([10, 20, 30, 40]);
    expect([at(11, 5), at(5, 11), at(1, 1), at(22, 5)]).toEqual([0, 0, 0, 0]);
  });

  it("stretches cells in one direction", () => {
    const layout = layoutUnits([2, 400], 1);
    const levels = new Uint8Array(800).fill(3);
    levels[399] = DEAD_LEVEL;
    const out = new Uint8Array(20 * 20);
    const placement = { originX: 0, originY: 0, scaleX: 0.05, scaleY: 10 };
    rasterise(new Pyramid(layout, levels), placement, 20, 20, out);
    const column = Array.from({ length: 20 }, (_, y) => out[y * 20 + 19]);
    expect(column).toEqual([...Array(10).fill(DEAD_LEVEL), ...Array(10).fill(3)]);
  });
});
