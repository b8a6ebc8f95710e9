/** The colors and the font of a plot on a canvas, as the style sheet has them in the theme in force. */

export interface PlotStyle {
  readonly font: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly ground: string;
  readonly accent: string;
  readonly bar: string;
  readonly dead: string;
}

const LARGEST_TYPE = 12;

export function plotStyleAt(node: Element): PlotStyle {
  const style = getComputedStyle(node);
  const color = (name: string): string => style.getPropertyValue(`--iua-${name}`).trim();
  return {
    font: `${Math.min(LARGEST_TYPE, 11 * (Number(color("type")) || 1))}px ${style.fontFamily}`,
    text: color("text"),
    muted: color("muted"),
    line: color("line"),
    ground: color("ground"),
    accent: color("accent"),
    bar: color("bar"),
    dead: color("dead"),
  };
}
