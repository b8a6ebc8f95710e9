import { describe, expect, it } from "vitest";
import { lookAfterKey } from "../../src/timeline/moment_handle";
import { StepScale } from "../../src/timeline/step_scale";
import { stripCells } from "../../src/timeline/strip_cells";
import { scaleEnd } from "../../src/timeline/timeline_drawing";

describe("the scale of steps", () => {
  const scale = new StepScale([0, 100, 400], 40, 400);

  it("places looks by their steps", () => {
    expect([0, 100, 400].map((step) => scale.x(step))).toEqual([40, 140, 440]);
  });

  it("finds the look nearest to a point", () => {
    expect([-5, 89, 91, 289, 291, 999].map((x) => scale.lookAt(x))).toEqual([0, 0, 1, 1, 2, 2]);
  });

  it("has each look reach halfway to those beside it", () => {
    expect([...scale.edges()]).toEqual([40, 90, 290, 440]);
  });

  it("labels round steps, no closer than they can be read", () => {
    expect(scale.ticks()).toEqual([0, 100, 200, 300, 400]);
    expect(new StepScale([0, 7], 0, 400).ticks()).toEqual([0, 2, 4, 6]);
    expect(new StepScale([17, 41_000], 0, 300).ticks()).toEqual([20_000, 40_000]);
    expect(new StepScale([0, 3], 0, 2000).ticks()).toEqual([0, 1, 2, 3]);
  });

  it("puts a single look in the middle", () => {
    const one = new StepScale([300], 0, 100);
    expect([one.x(300), one.lookAt(3), one.ticks()]).toEqual([50, 0, [300]]);
    expect([...one.edges()]).toEqual([0, 100]);
  });
});

describe("the cells of the strip", () => {
  const shares = Float32Array.from([0, 1, 0.5, 0.5, 1, Number.NaN]); // three looks of two layers

  it("gives each look its pixels", () => {
    const cells = stripCells(shares, 2, Float64Array.from([0, 1, 3, 4]), 4, 10);
    expect(cells.rows).toBe(2);
    expect([...cells.shares]).toEqual([0, 0.5, 0.5, 1, 1, 0.5, 0.5, Number.NaN]);
  });

  it("shows the mean where looks or layers share a pixel", () => {
    const looks = stripCells(shares, 2, Float64Array.from([0, 0.4, 0.8, 1]), 1, 10);
    expect([...looks.shares]).toEqual([0.5, 0.75]);
    const layers = stripCells(shares, 2, Float64Array.from([0, 1, 2, 3]), 3, 1);
    expect([...layers.shares]).toEqual([0.5, 0.5, 1]);
  });
});

it("moves from look to look by keys", () => {
  const keys = ["ArrowLeft", "ArrowRight", "Home", "End", "PageDown", "PageUp", "a"];
  expect(keys.map((key) => lookAfterKey(key, 3, 20))).toEqual([2, 4, 0, 19, 0, 13, null]);
});

it("ends the scale where all shares have room", () => {
  expect(scaleEnd(Float32Array.from([0, 0.012, Number.NaN]))).toBe(0.02);
  expect(scaleEnd(new Float32Array(3))).toBe(0.01);
  expect(scaleEnd(Float32Array.from([0.51]))).toBe(1);
});
