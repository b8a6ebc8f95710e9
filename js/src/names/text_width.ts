/** Measures texts in the type of an element, letter by letter, without laying them out. */

import type { WidthOf } from "./short_names";

/** The width of a text in the type of this element as it is now, at this weight and size (CSS). */
export function widthIn(node: Element, weight: number, size?: string): WidthOf {
  const style = getComputedStyle(node);
  const canvas = document.createElement("canvas").getContext("2d");
  const known = new Map<string, number>();
  if (canvas !== null) {
    canvas.font = `${weight} ${size ?? style.fontSize} ${style.fontFamily}`;
  }
  const letterWidth = (letter: string): number => {
    let width = known.get(letter);
    if (width === undefined) {
      width = canvas?.measureText(letter).width ?? 0;
      known.set(letter, width);
    }
    return width;
  };
  return (text) => {
    let sum = 0;
    for (const letter of text) sum += letterWidth(letter);
    return sum;
  };
}
