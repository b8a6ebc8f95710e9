import { describe, expect, it } from "vitest";
import {
  fitLayout,
  mostZoom,
  placeCells,
  scaledPlacement,
  showsTiles,
} from "../../src/canvas/cell_placement";
import {
  DEAD,
  EMPTY_LEVEL,
  levelOfShade,
  NOT_FINITE,
  POOLINGS,
  type Pooling,
  SHADES,
} from "../../src/canvas/levels";
import { halve, meanLevel, Pyramid } from "../../src/canvas/pooling";
import { depthFor, GRID_LINE_FROM, rasterize, rasterizeTiles } from "../../src/canvas/raster";
import { cellOf, layoutUnits, tileCell } from "../../src/reading/layout";
import { pixelExtent } from "../../src/ui/placement";
import { numbers } from "../helpers/random";

function randomLevels(units: number, pooling: Pooling, seed: number): Uint8Array {
  const random = numbers(seed);
  return Uint8Array.from({ length: units }, () => {
    const draw = random();
    if (draw < 0.3) return DEAD;
    if (draw < 0.4) return NOT_FINITE;
    return levelOfShade(1 + Math.floor(random() * SHADES), pooling);
  });
}

/** What a pixel or patch of these units is to show, by the definition. */
function pooled(levels: readonly number[], pooling: Pooling): number {
  const shades = levels.filter((level) => level > NOT_FINITE);
  if (shades.length === 0 || pooling !== "mean") return Math.max(EMPTY_LEVEL, ...levels);
  return Math.round(shades.reduce((total, level) => total + level, 0) / shades.length);
}

describe("pooling", () => {
  it("keeps the highest level of each block, within its tile", () => {
    const data = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    const half = halve({ data, tileWidth: 3, tileHeight: 3 }, 2, "least active");
    expect(half).toMatchObject({ tileWidth: 2, tileHeight: 2 });
    expect(Array.from(half.data)).toEqual([5, 6, 8, 9, 15, 16, 18, 19]);
  });

  it("takes the mean of each block, within its tile", () => {
    const data = Uint8Array.from([15, 16, 17, 18, 19, 20, 21, 22, 23, 1, 1, 23, 1, 1, 3, 3, 1, 1]);
    const half = halve({ data, tileWidth: 3, tileHeight: 3 }, 2, "mean");
    expect(Array.from(half.data)).toEqual([17, 19, 22, 23, 1, 23, 3, 1]);
  });

  it("copes with a grid whose last row is cut short", () => {
    const tiles = { data: Uint8Array.from([1, 3, 13, 14, 19]), tileWidth: 4, tileHeight: 2 };
    expect(Array.from(halve(tiles, 1, "least active").data)).toEqual([19, 14]);
    expect(Array.from(halve(tiles, 1, "mean").data)).toEqual([19, 14]);
  });

  it("is the maximum or the mean of what a cell covers, at any depth", () => {
    for (const shape of [[997], [31, 45], [13, 9, 7]]) {
      for (const pooling of POOLINGS) {
        const layout = layoutUnits(shape, 1.7);
        const levels = randomLevels(layout.units, pooling, 3);
        const pyramid = new Pyramid(layout, levels, pooling);
        for (let depth = 1; depth < 4; depth++) {
          const { data, tileWidth, tileHeight } = pyramid.at(depth);
          const step = 2 ** depth;
          const area = layout.tileWidth * layout.tileHeight;
          for (let at = 0; at < data.length; at++) {
            const tile = Math.floor(at / (tileWidth * tileHeight));
            const row = Math.floor(at / tileWidth) % tileHeight;
            const column = at % tileWidth;
            const covered: number[] = [];
            for (let y = row * step; y < Math.min((row + 1) * step, layout.tileHeight); y++) {
              for (
                let x = column * step;
                x < Math.min((column + 1) * step, layout.tileWidth);
                x++
              ) {
                const unit = tile * area + y * layout.tileWidth + x;
                if (unit < layout.units) covered.push(levels[unit] as number);
              }
            }
            const expected = pooled(covered, pooling);
            // Means of means are off where blocks hold unlike numbers of shades; never for the rest.
            if (pooling !== "mean" || depth === 1) expect(data[at]).toBe(expected);
            else if (expected <= NOT_FINITE) expect(data[at]).toBe(expected);
          }
        }
      }
    }
  });

  it("pools whole tiles", () => {
    for (const pooling of POOLINGS) {
      const layout = layoutUnits([6, 5, 4], 1);
      const levels = randomLevels(layout.units, pooling, 9);
      const tiles = new Pyramid(layout, levels, pooling).tiles();
      expect(Array.from(tiles)).toEqual(
        Array.from({ length: 6 }, (_, tile) =>
          pooled(Array.from(levels.subarray(tile * 20, tile * 20 + 20)), pooling),
        ),
      );
    }
  });

  it("leaves out of a mean what has no shade", () => {
    expect(meanLevel(10, 2, DEAD)).toBe(5);
    expect(meanLevel(0, 0, DEAD)).toBe(DEAD);
    expect(meanLevel(0, 0, DEAD | NOT_FINITE)).toBe(NOT_FINITE);
    expect(meanLevel(0, 0, EMPTY_LEVEL)).toBe(EMPTY_LEVEL);
  });
});

/** The pixel under the center of a cell of a tile that has whole pixels, on one axis. */
function pixelOf(origin: number, scale: number, tile: number, cells: number, cell: number): number {
  const { from, to } = pixelExtent(origin, scale, tile, cells);
  return from + Math.floor(((cell - tile + 0.5) * (to - from)) / cells);
}

describe("rasterize", () => {
  it("pools exactly the units under each pixel", () => {
    const width = 23;
    const height = 17;
    for (const shape of [[5001], [90, 110], [11, 15, 13]]) {
      const layout = layoutUnits(shape, width / height);
      for (const pooling of POOLINGS) {
        const levels = randomLevels(layout.units, pooling, 5);
        const pyramid = new Pyramid(layout, levels, pooling);
        const scale = Math.min(width / layout.width, height / layout.height);
        for (const placement of [
          { originX: 0, originY: 0, scaleX: scale, scaleY: scale },
          { originX: -9.3, originY: 2.7, scaleX: 1.9 * scale, scaleY: 1.9 * scale },
        ]) {
          if (placement.scaleX >= 1) continue;
          const out = new Uint8Array(width * height);
          rasterize(pyramid, placement, width, height, out);
          const under: number[][] = Array.from(out, () => []);
          for (let unit = 0; unit < layout.units; unit++) {
            const { x, y } = cellOf(layout, unit);
            const tile = tileCell(
              layout,
              Math.floor(unit / (layout.tileWidth * layout.tileHeight)),
            );
            const { originX, originY, scaleX, scaleY } = placement;
            const column = pixelOf(originX, scaleX, tile.x, layout.tileWidth, x);
            const row = pixelOf(originY, scaleY, tile.y, layout.tileHeight, y);
            if (column < 0 || column >= width || row < 0 || row >= height) continue;
            under[row * width + column]?.push(levels[unit] as number);
          }
          expect(Array.from(out)).toEqual(under.map((all) => pooled(all, pooling)));
        }
      }
    }
  });

  it("leaves no holes inside a dense picture", () => {
    const layout = layoutUnits([100, 100], 1);
    for (const pooling of POOLINGS) {
      const pyramid = new Pyramid(layout, new Uint8Array(10000).fill(7), pooling);
      for (const scale of [0.07, 0.13, 0.31, 0.5, 0.77, 0.999, 1, 1.3, 3]) {
        const side = Math.floor(100 * scale);
        const out = new Uint8Array(side * side);
        const placement = { originX: 0, originY: 0, scaleX: scale, scaleY: scale };
        rasterize(pyramid, placement, side, side, out);
        expect(out.every((level) => level === 7)).toBe(true);
      }
    }
  });

  it("puts lines between large cells and nothing around the layer", () => {
    const layout = layoutUnits([2, 2], 1);
    const pyramid = new Pyramid(layout, Uint8Array.from([10, 20, 30, 40]), "mean");
    const scale = GRID_LINE_FROM + 1;
    const out = new Uint8Array(24 * 24);
    rasterize(pyramid, { originX: 4, originY: 4, scaleX: scale, scaleY: scale }, 24, 24, out);
    const at = (x: number, y: number): number | undefined => out[y * 24 + x];
    expect([at(5, 5), at(13, 5), at(5, 13), at(13, 13)]).toEqual([10, 20, 30, 40]);
    expect([at(11, 5), at(5, 11), at(1, 1), at(22, 5)]).toEqual([0, 0, 0, 0]);
  });

  it("stretches cells in one direction", () => {
    const layout = layoutUnits([2, 400], 1);
    const levels = new Uint8Array(800).fill(3);
    levels[399] = 255;
    const out = new Uint8Array(20 * 20);
    const placement = { originX: 0, originY: 0, scaleX: 0.05, scaleY: 10 };
    rasterize(new Pyramid(layout, levels, "least active"), placement, 20, 20, out);
    const column = Array.from({ length: 20 }, (_, y) => out[y * 20 + 19]);
    expect(column).toEqual([...Array(10).fill(255), ...Array(10).fill(3)]);
  });

  it("halves only where very many cells are in view, and never past a pixel", () => {
    const layout = layoutUnits([10_000_000], 2);
    const scale = 900 / layout.width;
    const whole = { originX: 0, originY: 0, scaleX: scale, scaleY: scale };
    expect(depthFor(layout, whole, 900, 450)).toBe(2);
    expect(2 ** depthFor(layout, whole, 900, 450) * scale).toBeLessThanOrEqual(1);
    const close = { originX: 0, originY: 0, scaleX: 0.45, scaleY: 0.45 };
    expect(depthFor(layout, close, 900, 450)).toBe(1);
    expect(
      depthFor(layoutUnits([1_000_000], 2), { ...whole, scaleX: 0.6, scaleY: 0.6 }, 900, 450),
    ).toBe(0);
  });
});

describe("tiles in one patch", () => {
  it("cover their place and show what is pooled of their units", () => {
    const layout = layoutUnits([30, 40, 40], 1);
    const levels = new Uint8Array(layout.units).fill(5);
    levels[17 * 1600 + 800] = 255;
    const pyramid = new Pyramid(layout, levels, "least active");
    const placement = { originX: 0, originY: 0, scaleX: 0.2, scaleY: 0.2 };
    const side = Math.ceil(Math.max(layout.width, layout.height) * 0.2);
    const out = new Uint8Array(side * side);
    rasterizeTiles(pyramid, placement, side, side, out);
    for (let tile = 0; tile < 30; tile++) {
      const { x, y } = tileCell(layout, tile);
      const middle = Math.floor((y + 20) * 0.2) * side + Math.floor((x + 20) * 0.2);
      expect(out[middle]).toBe(tile === 17 ? 255 : 5);
    }
    expect(out.filter((level) => level === 255).length).toBe(64);
  });

  it("are shown while units are small and channels many", () => {
    const view = { width: 900, height: 420 };
    const shows = (shape: number[], k: number): boolean => {
      const layout = layoutUnits(shape, view.width / view.height);
      const fit = fitLayout(layout, view);
      return showsTiles(layout, placeCells(fit, { k, x: 0, y: 0 }));
    };
    expect(shows([2048, 28, 28], 1)).toBe(true);
    expect(shows([2048, 28, 28], 4)).toBe(false);
    expect(shows([64, 56, 56], 1)).toBe(false);
    expect(shows([1_000_000], 1)).toBe(false);
  });
});

describe("fitLayout", () => {
  const view = { width: 900, height: 420 };

  it("puts the whole layer in the middle", () => {
    for (const shape of [[5001], [90, 110], [11, 15, 13], [3]]) {
      const layout = layoutUnits(shape, 900 / 420);
      const { originX, originY, scaleX, scaleY } = fitLayout(layout, view);
      expect(originX).toBeGreaterThanOrEqual(5.999);
      expect(originY).toBeGreaterThanOrEqual(5.999);
      expect(originX * 2 + layout.width * scaleX).toBeCloseTo(900);
      expect(originY * 2 + layout.height * scaleY).toBeCloseTo(420);
    }
  });

  it("stretches what would else be a thread", () => {
    const { scaleX, scaleY } = fitLayout(layoutUnits([100_000], 2, 10), view);
    expect(scaleX).toBeGreaterThan(20);
    expect(scaleY).toBeLessThan(0.1);
    const layout = layoutUnits([100_000], 2, 10);
    expect(mostZoom({ originX: 0, originY: 0, scaleX, scaleY }) * scaleY).toBeGreaterThan(7);
    expect(layout.height).toBe(10_000);
  });

  it("scales to device pixels", () => {
    expect(scaledPlacement({ originX: 1, originY: 2, scaleX: 3, scaleY: 4 }, 2)).toEqual({
      originX: 2,
      originY: 4,
      scaleX: 6,
      scaleY: 8,
    });
  });
});
