/** One tolerance as a slider over its stops. */

import { nearestStop } from "../reading/scale";
import { element, setAttribute, setVariable } from "../ui/dom";

interface ToleranceSliderOptions {
  readonly name: "atol" | "rtol";
  readonly onInput: (value: number) => void;
  readonly onSettle: () => void;
}

export class ToleranceSlider {
  readonly #options: ToleranceSliderOptions;
  readonly #node: HTMLInputElement;
  #stops: readonly number[] = [];
  #dragging = false;

  constructor(options: ToleranceSliderOptions, signal: AbortSignal) {
    this.#options = options;
    this.#node = element("input", {
      class: `iua-slide iua-slide-${options.name}`,
      attributes: { type: "range", min: "0", step: "1", "aria-label": options.name },
    });
    const on = (type: string, listener: () => void): void =>
      this.#node.addEventListener(type, listener, { signal });
    const rest = (): void => {
      this.#dragging = false;
    };
    on("input", () => this.#slide());
    on("change", () => {
      rest();
      this.#options.onSettle();
    });
    for (const type of ["blur", "pointerup", "pointercancel"]) on(type, rest);
  }

  #slide(): void {
    const value = this.#stops[this.#node.valueAsNumber];
    if (value === undefined) return;
    this.#dragging = true;
    this.#place();
    this.#options.onInput(value);
  }

  /** Take the value of the host, said in words; while a person drags, their hand wins. */
  update(stops: readonly number[], value: number, words: string, disabled = false): void {
    const off = disabled || stops.length < 2;
    if (this.#node.disabled !== off) this.#node.disabled = off;
    if (stops !== this.#stops) {
      this.#stops = stops;
      setAttribute(this.#node, "max", String(Math.max(0, stops.length - 1)));
    }
    const place = String(nearestStop(stops, value));
    if (!this.#dragging && this.#node.value !== place) this.#node.value = place;
    setAttribute(this.#node, "aria-valuetext", words);
    this.#place();
  }

  #place(): void {
    const share = this.#node.valueAsNumber / Math.max(1, this.#stops.length - 1);
    setVariable(this.#node, "--at", share.toFixed(4));
  }

  node(): HTMLInputElement {
    return this.#node;
  }
}
