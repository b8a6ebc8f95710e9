/** The colors of activity: dark is inactive, light is active, in steps of even lightness. */

import {
  DEAD,
  DEAD_IN_BOTH,
  LEVELS,
  levelOfShade,
  NOT_FINITE,
  type Pooling,
  REVIVED,
  SHADES,
  UNSURE,
} from "./levels";

export type Theme = "light" | "dark";

interface Ramp {
  /** From most active to least; OKLab lightness falls along it, never to that of the ground. */
  readonly anchors: readonly string[];
  /** Of dead units, where the page's own is not told apart from the ramp. */
  readonly dead?: string;
  readonly revived: string;
  readonly deadInBoth: string;
  readonly unsure: string;
}

/** By name; the dead of a map without hues are darker than all of it, to be told apart in print. */
const MAPS = {
  blue: {
    light: {
      anchors: ["#fbf6d9", "#c4dfc6", "#7fbcbd", "#4690b0", "#2b6299", "#243a78", "#1c1d4b"],
      revived: "#55b3f7",
      deadInBoth: "#322b3b",
      unsure: "#78818b",
    },
    dark: {
      anchors: ["#fbf6d9", "#cbe6c9", "#93d0c4", "#5fb6c6", "#4397c4", "#3f79b8", "#475ca3"],
      revived: "#2f86e0",
      deadInBoth: "#5b5070",
      unsure: "#a9b3bd",
    },
  },
  gray: {
    light: {
      anchors: ["#f7f7f7", "#6e6e6e"],
      dead: "#7a0c0c",
      revived: "#aebccd",
      deadInBoth: "#8b8b95",
      unsure: "#5d685f",
    },
    dark: {
      anchors: ["#f7f7f7", "#8c8c8c"],
      dead: "#c22a14",
      revived: "#a3bad6",
      deadInBoth: "#85858f",
      unsure: "#3a4046",
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<Theme, Ramp>>>>;

export type ColorMap = keyof typeof MAPS;
export const COLOR_MAPS = Object.keys(MAPS) as readonly ColorMap[];

export type Rgb = readonly [red: number, green: number, blue: number];

export function parseHex(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function toLinear(channel: number): number {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  const c = value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(1, Math.max(0, c)) * 255);
}

type Lab = readonly [number, number, number];

export function toOklab([red, green, blue]: Rgb): Lab {
  const r = toLinear(red);
  const g = toLinear(green);
  const b = toLinear(blue);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([lightness, a, b]: Lab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    fromLinear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    fromLinear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    fromLinear(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

/** The theme that a color is the ground of. */
export function themeOf(ground: Rgb): Theme {
  return toOklab(ground)[0] < 0.5 ? "dark" : "light";
}

/** The color at 0 (most active) to 1 (least): lightness falls evenly, hue follows the anchors. */
export function mapColor(map: ColorMap, theme: Theme, place: number): Rgb {
  const { anchors }: Ramp = MAPS[map][theme];
  const labs = anchors.map((anchor) => toOklab(parseHex(anchor)));
  const first = labs[0] as Lab;
  const last = labs[labs.length - 1] as Lab;
  const lightness = first[0] + place * (last[0] - first[0]);
  let segment = 0;
  while (segment < labs.length - 2 && (labs[segment + 1] as Lab)[0] > lightness) segment++;
  const from = labs[segment] as Lab;
  const to = labs[segment + 1] as Lab;
  const t = Math.min(1, Math.max(0, (from[0] - lightness) / (from[0] - to[0])));
  return fromOklab([lightness, from[1] + t * (to[1] - from[1]), from[2] + t * (to[2] - from[2])]);
}

/** The colors of signals beside a map, by level, where the page's own are given. */
export function signalColors(map: ColorMap, { ground, dead, notFinite }: Signals): readonly Rgb[] {
  const ramp: Ramp = MAPS[map][themeOf(ground)];
  const colors: Rgb[] = [ground];
  colors[DEAD] = ramp.dead === undefined ? dead : parseHex(ramp.dead);
  colors[NOT_FINITE] = notFinite;
  colors[REVIVED] = parseHex(ramp.revived);
  colors[DEAD_IN_BOTH] = parseHex(ramp.deadInBoth);
  colors[UNSURE] = parseHex(ramp.unsure);
  return colors;
}

export function cssColor([red, green, blue]: Rgb): string {
  return `rgb(${red}, ${green}, ${blue})`;
}

/** Little-endian RGBA, as the bytes of an ImageData are read through a Uint32Array. */
export function packColor([red, green, blue]: Rgb): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export interface Signals {
  readonly ground: Rgb;
  readonly dead: Rgb;
  readonly notFinite: Rgb;
}

/** One packed color a level, as levels are encoded for a rule of pooling. */
export function buildPalette(map: ColorMap, signals: Signals, pooling: Pooling): Uint32Array {
  const theme = themeOf(signals.ground);
  const palette = new Uint32Array(LEVELS).fill(packColor(signals.ground));
  for (let shade = 1; shade <= SHADES; shade++) {
    const color = packColor(mapColor(map, theme, (shade - 1) / (SHADES - 1)));
    palette[levelOfShade(shade, pooling)] = color;
  }
  for (const [level, color] of signalColors(map, signals).entries()) {
    palette[level] = packColor(color);
  }
  return palette;
}

/** Of a palette, for drawing over it. */
export function unpackColor(packed: number): Rgb {
  return [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255];
}
