/** The colors and the font of the picture, as the style sheet has them in the theme in force. */

import { type ColorMap, parseHex, type Rgb } from "./color";
import type { Inks } from "./picture_paint";

export function inksAt(node: HTMLElement, map: ColorMap): Inks {
  const style = getComputedStyle(node);
  const text = (name: string): string => style.getPropertyValue(name).trim();
  const rgb = (name: string, fallback: Rgb): Rgb =>
    /^#[0-9a-f]{6}$/i.test(text(name)) ? parseHex(text(name)) : fallback;
  return {
    map,
    signals: {
      ground: rgb("--iua-picture-ground", [228, 231, 236]),
      dead: rgb("--iua-dead", [232, 64, 42]),
      notFinite: rgb("--iua-not-finite", [168, 37, 195]),
    },
    text: text("--iua-picture-text"),
    outline: rgb("--iua-outline", [11, 19, 32]),
    halo: rgb("--iua-halo", [255, 255, 255]),
    font: text("--iua-font") || "sans-serif",
  };
}
