/** The colours of inactive share: dark is inactive, light is active, in steps of even lightness. */

/** From always active to always inactive; OKLab lightness falls along it. */
const ANCHORS = ["#fbf6d9", "#c4dfc6", "#7fbcbd", "#4690b0", "#2b6299", "#243a78", "#1c1d4b"];

export const LEVELS = 256;
/** What a picture holds where there is no unit; zero, so that a maximum never prefers it. */
export const EMPTY_LEVEL = 0;
/** A unit that was inactive on every probe; shares below that use levels 1 to 254. */
export const DEAD_LEVEL = LEVELS - 1;
const SHARE_STEPS = DEAD_LEVEL - 2;

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

/** The colour of a share: lightness falls evenly, hue follows the anchors. */
export function shareColour(share: number): Rgb {
  const labs = ANCHORS.map((anchor) => toOklab(parseHex(anchor)));
  const first = labs[0] as Lab;
  const last = labs[labs.length - 1] as Lab;
  const lightness = first[0] + share * (last[0] - first[0]);
  let segment = 0;
  while (segment < labs.length - 2 && (labs[segment + 1] as Lab)[0] > lightness) segment++;
  const from = labs[segment] as Lab;
  const to = labs[segment + 1] as Lab;
  const t = Math.min(1, Math.max(0, (from[0] - lightness) / (from[0] - to[0])));
  return fromOklab([lightness, from[1] + t * (to[1] - from[1]), from[2] + t * (to[2] - from[2])]);
}

export function cssColour([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

/** Little-endian RGBA, as the bytes of an ImageData are read through a Uint32Array. */
export function packColour([red, green, blue]: Rgb): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export function buildPalette(ground: Rgb, dead: Rgb): Uint32Array {
  const palette = new Uint32Array(LEVELS);
  palette[EMPTY_LEVEL] = packColour(ground);
  for (let step = 0; step <= SHARE_STEPS; step++) {
    palette[1 + step] = packColour(shareColour(step / SHARE_STEPS));
  }
  palette[DEAD_LEVEL] = packColour(dead);
  return palette;
}

/** One level a unit: its inactive share, or DEAD_LEVEL when it never was active. */
export function shareLevels(counts: ArrayLike<number>, probes: number): Uint8Array {
  const levels = new Uint8Array(counts.length);
  if (probes === 0) return levels;
  const factor = SHARE_STEPS / probes;
  for (let unit = 0; unit < counts.length; unit++) {
    const count = counts[unit] as number;
    levels[unit] = count === probes ? DEAD_LEVEL : 1 + Math.round(count * factor);
  }
  return levels;
}
