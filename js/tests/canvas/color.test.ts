/** Color maps of both themes: even, and apart from what is dead, for every kind of eye and in print. */

import { describe, expect, it } from "vitest";
import {
  buildPalette,
  COLOR_MAPS,
  type ColorMap,
  mapColor,
  packColor,
  parseHex,
  type Rgb,
  type Signals,
  signalColors,
  type Theme,
  themeOf,
  toOklab,
  unpackColor,
} from "../../src/canvas/color";
import {
  DEAD,
  DEAD_IN_BOTH,
  EMPTY_LEVEL,
  LEVELS,
  levelOfShade,
  NOT_FINITE,
  POOLINGS,
  REVIVED,
  SHADES,
  UNSURE,
} from "../../src/canvas/levels";

/** As base.css has them. */
const PAGE: Readonly<Record<Theme, Signals>> = {
  light: {
    ground: parseHex("#dfe3e8"),
    dead: parseHex("#e8402a"),
    notFinite: parseHex("#a825c3"),
  },
  dark: { ground: parseHex("#0b0d10"), dead: parseHex("#ff5a3c"), notFinite: parseHex("#e07bf0") },
};

type Matrix = readonly (readonly [number, number, number])[];

/** What full protanopia, deuteranopia and tritanopia leave of linear light (Machado et al. 2009). */
const EYES: Readonly<Record<string, Matrix>> = {
  trichromat: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanope: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranope: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanope: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function linear(channel: number): number {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function encoded(light: number): number {
  const c = Math.min(1, Math.max(0, light));
  return 255 * (c <= 0.0031308 ? c * 12.92 : 1.055 * c ** (1 / 2.4) - 0.055);
}

function seen(color: Rgb, eye: Matrix): Rgb {
  const light = color.map(linear);
  const [red = 0, green = 0, blue = 0] = eye.map((row) =>
    encoded(row.reduce((sum, part, at) => sum + part * (light[at] as number), 0)),
  );
  return [red, green, blue];
}

function difference(one: Rgb, other: Rgb): number {
  const [a, b] = [toOklab(one), toOklab(other)];
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

function luminance(color: Rgb): number {
  const [red = 0, green = 0, blue = 0] = color.map(linear);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: Rgb, other: Rgb): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function shades(map: ColorMap, theme: Theme): Rgb[] {
  return Array.from({ length: SHADES }, (_, shade) => mapColor(map, theme, shade / (SHADES - 1)));
}

describe.each(["light", "dark"] as const)("colors of the %s theme", (theme) => {
  const { ground, notFinite } = PAGE[theme];
  const deadOf = (map: ColorMap): Rgb => signalColors(map, PAGE[theme])[DEAD] as Rgb;

  it("are known by their ground", () => {
    expect(themeOf(ground)).toBe(theme);
  });

  it.each(COLOR_MAPS)("of %s darken evenly with inactivity, for every eye", (map) => {
    for (const eye of Object.values(EYES)) {
      const lightness = shades(map, theme)
        .filter((_, shade) => shade % 12 === 0)
        .map((color) => toOklab(seen(color, eye))[0]);
      const steps = lightness.slice(1).map((value, at) => (lightness[at] as number) - value);
      const mean = steps.reduce((sum, step) => sum + step) / steps.length;
      expect(Math.min(...steps)).toBeGreaterThan(mean / 3);
      expect(Math.max(...steps)).toBeLessThan(2 * mean);
    }
  });

  it.each(COLOR_MAPS)("of %s reach neither black nor the ground of a dark page", (map) => {
    const [first, last] = [mapColor(map, theme, 0), mapColor(map, theme, 1)];
    expect(toOklab(first)[0]).toBeGreaterThan(0.94);
    expect(contrast(last, ground)).toBeGreaterThan(3);
    if (theme === "dark") expect(luminance(last)).toBeGreaterThan(luminance(ground));
  });

  it.each(COLOR_MAPS)("of %s are told from dead by every eye", (map) => {
    const own = deadOf(map);
    for (const eye of Object.values(EYES)) {
      for (const color of shades(map, theme)) {
        expect(difference(seen(color, eye), seen(own, eye))).toBeGreaterThan(0.14);
      }
      expect(difference(seen(ground, eye), seen(own, eye))).toBeGreaterThan(0.25);
      expect(difference(seen(notFinite, eye), seen(own, eye))).toBeGreaterThan(0.14);
    }
  });

  it.each(COLOR_MAPS)("of %s tell what became of a unit to every eye", (map) => {
    const signals = signalColors(map, PAGE[theme]);
    const fates = [DEAD, REVIVED, DEAD_IN_BOTH, UNSURE].map((level) => signals[level] as Rgb);
    const all = [...fates, mapColor(map, theme, 0)];
    for (const eye of Object.values(EYES)) {
      for (const [at, fate] of fates.entries()) {
        for (const other of [...all.slice(at + 1), ground]) {
          expect(difference(seen(fate, eye), seen(other, eye))).toBeGreaterThan(0.11);
        }
      }
    }
  });

  it("of gray tell it in print without colors", () => {
    const signals = signalColors("gray", PAGE.light);
    const lightness = [DEAD, UNSURE, DEAD_IN_BOTH, REVIVED]
      .map((level) => signals[level] as Rgb)
      .concat([mapColor("gray", "light", 0)])
      .map((color) => luminance(color) + 0.05);
    for (const [at, darker] of lightness.slice(0, -1).entries()) {
      expect((lightness[at + 1] as number) / darker).toBeGreaterThan(1.4);
    }
  });

  it("of gray are lighter than dead in print without colors", () => {
    const own = deadOf("gray");
    const darkest = Math.min(...shades("gray", theme).map(luminance));
    expect((darkest + 0.05) / (luminance(own) + 0.05)).toBeGreaterThan(1.6);
  });

  it.each(POOLINGS)("have a place each among levels pooled by %s", (pooling) => {
    for (const map of COLOR_MAPS) {
      const palette = buildPalette(map, PAGE[theme], pooling);
      expect(palette.length).toBe(LEVELS);
      expect(palette[EMPTY_LEVEL]).toBe(packColor(ground));
      expect(palette[DEAD]).toBe(packColor(deadOf(map)));
      expect(palette[NOT_FINITE]).toBe(packColor(notFinite));
      for (const shade of [1, 100, SHADES]) {
        const color = mapColor(map, theme, (shade - 1) / (SHADES - 1));
        expect(palette[levelOfShade(shade, pooling)]).toBe(packColor(color));
      }
    }
  });
});

describe("packed colors", () => {
  it("are little-endian, and unpacked again", () => {
    expect(packColor([1, 2, 3])).toBe(0xff030201);
    expect(unpackColor(0xff030201)).toEqual([1, 2, 3]);
  });
});
