/** Places of looks along the steps of training, in CSS pixels. */

import { nearestLook } from "../reading/history";

const TICK_PIXELS = 84;

export class StepScale {
  readonly steps: readonly number[];
  readonly #left: number;
  readonly #width: number;

  constructor(steps: readonly number[], left: number, width: number) {
    this.steps = steps;
    this.#left = left;
    this.#width = Math.max(1, width);
  }

  get #first(): number {
    return this.steps[0] ?? 0;
  }

  get #span(): number {
    return (this.steps.at(-1) ?? 0) - this.#first;
  }

  /** A single look is in the middle. */
  x(step: number): number {
    const share = this.#span > 0 ? (step - this.#first) / this.#span : 0.5;
    return this.#left + Math.min(1, Math.max(0, share)) * this.#width;
  }

  /** The place of the look nearest to a point. */
  lookAt(x: number): number {
    const share = (x - this.#left) / this.#width;
    return nearestLook(this.steps, this.#first + share * this.#span);
  }

  /** From where to where each look reaches: halfway to those beside it. */
  edges(): Float64Array {
    const { steps } = this;
    const edges = new Float64Array(steps.length + 1);
    edges[0] = this.#left;
    for (let look = 1; look < steps.length; look++) {
      const [before, here] = [steps[look - 1] as number, steps[look] as number];
      edges[look] = (this.x(before) + this.x(here)) / 2;
    }
    edges[steps.length] = this.#left + this.#width;
    return edges;
  }

  /** Round steps to label. */
  ticks(): number[] {
    if (this.#span === 0) return this.steps.slice(0, 1);
    const most = Math.max(1, Math.floor(this.#width / TICK_PIXELS));
    const power = 10 ** Math.floor(Math.log10(this.#span / most));
    const apart = [1, 2, 5, 10].map((times) => times * power);
    const step = Math.max(1, apart.find((each) => this.#span / each <= most) ?? 10 * power);
    const ticks: number[] = [];
    const last = this.#first + this.#span;
    for (let at = Math.ceil(this.#first / step) * step; at <= last; at += step) ticks.push(at);
    return ticks;
  }
}
