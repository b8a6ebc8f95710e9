/** Mean inactive share over the stops, with a mark at the threshold in force. */

import { svg } from "../ui/dom";

const WIDTH = 84;
const HEIGHT = 22;
const PAD = 2.5;

/** To a tenth of a pixel; much faster than toFixed. */
function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

export class Sparkline {
  readonly #area = svg("path", { class: "iua-curve-area" });
  readonly #line = svg("path", { class: "iua-curve-line" });
  readonly #rule = svg("line", {
    class: "iua-curve-rule",
    y1: "0",
    y2: String(HEIGHT),
  });
  readonly #dot = svg("circle", { class: "iua-curve-dot", r: "2.5" });
  readonly #mark = svg("g", {}, this.#rule, this.#dot);
  readonly #node = svg(
    "svg",
    {
      class: "iua-curve",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      "aria-hidden": "true",
    },
    this.#area,
    this.#line,
    this.#mark,
  );
  #last = 1;
  #path = "";
  #marked = "";

  setCurve(shares: ArrayLike<number>): void {
    this.#last = Math.max(1, shares.length - 1);
    this.#marked = "";
    let path = "M";
    for (let stop = 0; stop < shares.length; stop++) {
      if (stop > 0) path += "L";
      path += `${this.#x(stop)},${this.#y(shares[stop] as number)}`;
    }
    if (path === this.#path) return;
    this.#path = path;
    this.#line.setAttribute("d", path);
    const floor = HEIGHT - PAD;
    this.#area.setAttribute("d", `${path}L${this.#x(this.#last)},${floor}L${PAD},${floor}Z`);
  }

  /** Mark a position on the axis of stops, and the lower bound that holds there. */
  setMark(position: number, share: number): void {
    const x = String(this.#x(position));
    const y = String(this.#y(share));
    const mark = `${x} ${y}`;
    if (mark === this.#marked) return;
    if (this.#marked === "") this.#mark.removeAttribute("visibility");
    this.#marked = mark;
    this.#rule.setAttribute("x1", x);
    this.#rule.setAttribute("x2", x);
    this.#dot.setAttribute("cx", x);
    this.#dot.setAttribute("cy", y);
  }

  hideMark(): void {
    this.#marked = "";
    this.#mark.setAttribute("visibility", "hidden");
  }

  #x(stop: number): number {
    return tenths(PAD + (stop / this.#last) * (WIDTH - 2 * PAD));
  }

  #y(share: number): number {
    return tenths(HEIGHT - PAD - share * (HEIGHT - 2 * PAD));
  }

  node(): SVGElement {
    return this.#node;
  }
}
