/** One unit's life over the steps of training: its mean |x| as a line, and where it is dead. */

import { formatInteger, formatMagnitude } from "../reading/format";
import { type Life, lifeWords } from "../reading/life";
import { element, setAttribute, setText, svg } from "../ui/dom";

const WIDTH = 1000;
const HEIGHT = 100;
/** Below this part of the largest, sizes are not told apart. */
const LEAST = 1e-4;

interface LifePaths {
  readonly line: string;
  readonly dead: string;
}

function placeAmong(steps: readonly number[], step: number): number {
  const first = steps[0] ?? 0;
  const span = (steps.at(-1) ?? 0) - first;
  return span > 0 ? Math.min(1, Math.max(0, (step - first) / span)) : 0.5;
}

/** By their logarithm, from the smallest told apart to the largest; zero lies on the ground. */
export function lifePaths({ steps, sizes, dead }: Life): LifePaths {
  const largest = Math.max(...sizes.filter(Number.isFinite), 0);
  const x = (look: number): number => WIDTH * placeAmong(steps, steps[look] as number);
  const y = (size: number): number => {
    const share = largest > 0 ? 1 + Math.log10(Math.max(size / largest, LEAST)) / 4 : 0;
    return 6 + (HEIGHT - 12) * (1 - share);
  };
  let line = "";
  let drawing = false;
  for (const [look, size] of sizes.entries()) {
    if (Number.isFinite(size)) {
      line += `${drawing ? "L" : "M"}${x(look).toFixed(1)} ${y(size).toFixed(1)}`;
    }
    drawing = Number.isFinite(size);
  }
  let spans = "";
  for (const [look, is] of dead.entries()) {
    if (!is) continue;
    const from = look === 0 ? 0 : (x(look - 1) + x(look)) / 2;
    const to = look === dead.length - 1 ? WIDTH : (x(look) + x(look + 1)) / 2;
    spans += `M${from.toFixed(1)} 0V${HEIGHT}H${to.toFixed(1)}V0Z`;
  }
  return { line, dead: spans };
}

export class LifeLine {
  readonly #words = element("span", { class: "iua-life-words" });
  readonly #dead = svg("path", { class: "iua-life-dead" });
  readonly #line = svg("path", { class: "iua-life-size", "vector-effect": "non-scaling-stroke" });
  readonly #now = element("span", { class: "iua-life-now" });
  readonly #most = element("span", { class: "iua-life-most" });
  readonly #node: HTMLElement;

  constructor() {
    const picture = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      this.#dead,
      this.#line,
    );
    this.#node = element(
      "div",
      { class: "iua-life" },
      element("div", { class: "iua-life-head" }, this.#words, this.#most),
      element("div", { class: "iua-life-area" }, picture, this.#now),
    );
    this.#node.hidden = true;
  }

  /** `step`: the moment on show, if there is one. */
  update(life: Life | null, step: number | null): void {
    this.#node.hidden = life === null;
    if (life === null) return;
    const paths = lifePaths(life);
    setAttribute(this.#line, "d", paths.line);
    setAttribute(this.#dead, "d", paths.dead);
    setText(this.#words, lifeWords(life, formatInteger));
    const largest = Math.max(...life.sizes.filter(Number.isFinite), 0);
    setText(this.#most, `mean |x| up to ${formatMagnitude(largest)}`);
    this.#now.hidden = step === null;
    this.#now.style.left = `${100 * placeAmong(life.steps, step ?? 0)}%`;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
