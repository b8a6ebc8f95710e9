/** A layer's mean inactive share over the stops, with a mark at the threshold in force. */

import { svg } from "./dom";

const WIDTH = 84;
const HEIGHT = 22;
const PAD = 2.5;

export class Sparkline {
  readonly #area = svg("path", { class: "iua-curve-area" });
  readonly #line = svg("path", { class: "iua-curve-line" });
  readonly #rule = svg("line", {
    class: "iua-curve-rule",
    y1: "0",
    y2: String(HEIGHT),
  });
  readonly #dot = svg("circle", { class: "iua-curve-dot", r: "2.5" });
  readonly #node = svg(
    "svg",
    {
      class: "iua-curve",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      width: String(WIDTH),
      height: String(HEIGHT),
      "aria-hidden": "true",
    },
    this.#area,
    this.#line,
    this.#rule,
    this.#dot,
  );
  #shares: readonly number[] = [];
  #path = "";
  #marked = "";

  setCurve(shares: readonly number[]): void {
    this.#shares = shares;
    this.#marked = "";
    const points = shares.map((share, stop) => `${this.#x(stop)},${this.#y(share)}`);
    const path = `M${points.join("L")}`;
    if (path === this.#path) return;
    this.#path = path;
    this.#line.setAttribute("d", path);
    const floor = HEIGHT - PAD;
    this.#area.setAttribute(
      "d",
      `${path}L${this.#x(shares.length - 1)},${floor}L${this.#x(0)},${floor}Z`,
    );
  }

  /** Mark a position on the axis of stops, and the lower bound that holds there. */
  setMark(position: number, share: number): void {
    const mark = `${position} ${share}`;
    if (mark === this.#marked) return;
    this.#marked = mark;
    const x = this.#x(position);
    this.#rule.setAttribute("x1", x);
    this.#rule.setAttribute("x2", x);
    this.#dot.setAttribute("cx", x);
    this.#dot.setAttribute("cy", this.#y(share));
  }

  #x(stop: number): string {
    const last = Math.max(1, this.#shares.length - 1);
    return (PAD + (stop / last) * (WIDTH - 2 * PAD)).toFixed(1);
  }

  #y(share: number): string {
    return (HEIGHT - PAD - share * (HEIGHT - 2 * PAD)).toFixed(1);
  }

  node(): SVGElement {
    return this.#node;
  }
}
