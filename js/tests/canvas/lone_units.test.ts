/** Rings: a lone unit among a million is found, and a busy picture has none. */

import { describe, expect, it } from "vitest";
import { fitLayout, placeCells, scaledPlacement } from "../../src/canvas/cell_placement";
import { DEAD, DEAD_IN_BOTH, NOT_FINITE, REVIVED } from "../../src/canvas/levels";
import { LIVE, LONE_MOST, type LoneUnit, loneUnits } from "../../src/canvas/lone_units";
import { Pyramid } from "../../src/canvas/pooling";
import { UnitPainter } from "../../src/canvas/unit_painter";
import { layoutUnits } from "../../src/reading/layout";
import { numbers } from "../helpers/random";

const VIEW = { width: 640, height: 320 };
const SHADE = 40;

function ringed(shape: readonly number[], levels: Uint8Array, ratio = 1, k = 1): LoneUnit[] {
  const layout = layoutUnits(shape, VIEW.width / VIEW.height);
  const x = (VIEW.width * (1 - k)) / 2;
  const css = placeCells(fitLayout(layout, VIEW), { k, x, y: (VIEW.height * (1 - k)) / 2 });
  const at = scaledPlacement(css, ratio);
  const painter = new UnitPainter(VIEW.width * ratio, VIEW.height * ratio);
  const counts = { signals: [0, 1, 2, 3, 4, 5].map((level) => Number(levels.includes(level))) };
  painter.paint(new Pyramid(layout, levels, "mean"), css, at, counts);
  return loneUnits(painter, layout, levels, at, ratio);
}

describe("a lone unit", () => {
  it.each([
    ["dead", DEAD, SHADE],
    ["not finite", NOT_FINITE, SHADE],
    ["revived", REVIVED, SHADE],
    ["dead in both among the newly dead", DEAD_IN_BOTH, DEAD],
    ["live", SHADE, DEAD],
  ] as const)("that is %s is ringed among a million others", (_, own, others) => {
    const kind = Math.min(own, LIVE);
    for (const shape of [[1_000_000], [400, 500], [128, 40, 40], [100, 50, 50]]) {
      const units = shape.reduce((all, size) => all * size, 1);
      for (const unit of units < 1_000_000 ? [0, 133_333, units - 1] : [777_777]) {
        const levels = new Uint8Array(units).fill(others);
        levels[unit] = own;
        expect(ringed(shape, levels)).toEqual([{ kind, place: unit }]);
      }
    }
  });

  it.each([1, 1.5, 2, 3])("is ringed at a ratio of %s", (ratio) => {
    const levels = new Uint8Array(90_000).fill(SHADE);
    levels[41_000] = DEAD;
    expect(ringed([90_000], levels, ratio)).toEqual([{ kind: DEAD, place: 41_000 }]);
  });

  it("needs no ring once it is large, or not in view", () => {
    const levels = new Uint8Array(90_000).fill(SHADE);
    levels[45_200] = DEAD;
    expect(ringed([90_000], levels, 1, 12)).toEqual([]);
    levels.fill(SHADE);
    levels[3] = DEAD;
    expect(ringed([90_000], levels, 1, 3)).toEqual([]);
    const few = new Uint8Array(60).fill(SHADE);
    few[7] = DEAD;
    expect(ringed([60], few)).toEqual([]);
  });
});

describe("a busy picture", () => {
  it("has no ring where some of each kind is seen all over", () => {
    for (const share of [0.05, 0.28, 0.95]) {
      const random = numbers(3);
      const levels = Uint8Array.from({ length: 100 * 20 * 20 }, () =>
        random() < share ? DEAD : SHADE,
      );
      expect(ringed([100, 20, 20], levels)).toEqual([]);
    }
    expect(ringed([250_000], new Uint8Array(250_000).fill(SHADE))).toEqual([]);
    expect(ringed([250_000], new Uint8Array(250_000).fill(DEAD))).toEqual([]);
  });

  it("has but so many, far from each other, where lone units are many", () => {
    const random = numbers(8);
    for (const number of [40, 600]) {
      const levels = new Uint8Array(1_000_000).fill(SHADE);
      for (let draw = 0; draw < number; draw++) levels[Math.floor(random() * 1e6)] = DEAD;
      const lone = ringed([1_000_000], levels);
      expect(lone.length).toBeLessThanOrEqual(LONE_MOST);
      expect(lone.every(({ place }) => levels[place] === DEAD)).toBe(true);
      if (number < LONE_MOST) expect(lone.length).toBeGreaterThan(0.7 * number);
    }
  });

  it("has one far from where death is all over", () => {
    const levels = Uint8Array.from({ length: 600 * 600 }, (_, unit) =>
      unit < 180_000 ? DEAD : SHADE,
    );
    levels[300 * 600 + 300 * 600 - 9] = DEAD;
    levels[90_300] = SHADE;
    expect(ringed([600, 600], levels)).toEqual([
      { kind: DEAD, place: 359_991 },
      { kind: LIVE, place: 90_300 },
    ]);
  });
});
