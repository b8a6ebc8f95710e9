/** One tolerance: a slider over its stops and a field to type a number. */

import { formatTolerance } from "../core/format";
import { decades, nearestStop, parseTolerance, ticks } from "../core/scale";
import { element, setAttribute, setText, setVariable } from "./dom";

export interface ToleranceSliderOptions {
  readonly name: string;
  readonly meaning: string;
  /** What the first stop is called: "exact zero", "off". */
  readonly zeroWord: string;
  /** The same, where there is room for a few letters only. */
  readonly zeroTick: string;
  readonly onInput: (value: number) => void;
  readonly onSettle: () => void;
}

const TICK_GAP = 0.11;

export class ToleranceSlider {
  readonly #options: ToleranceSliderOptions;
  readonly #range: HTMLInputElement;
  readonly #field: HTMLInputElement;
  readonly #ticks = element("div", { class: "iua-ticks", attributes: { "aria-hidden": "true" } });
  readonly #message = element("span", { class: "iua-message", attributes: { role: "status" } });
  readonly #node: HTMLElement;
  #stops: readonly number[] = [];
  #ticksFor = "";
  #value = 0;
  #disabledReason: string | null = null;
  #own: string | null = null;
  #dragging = false;

  constructor(options: ToleranceSliderOptions, signal: AbortSignal) {
    this.#options = options;
    this.#range = element("input", {
      class: "iua-slide",
      attributes: { type: "range", min: "0", step: "1", "aria-label": options.name },
    });
    this.#field = element("input", {
      class: "iua-field",
      attributes: {
        type: "text",
        inputmode: "decimal",
        autocomplete: "off",
        spellcheck: "false",
        "aria-label": `${options.name} value`,
      },
    });
    const label = element(
      "div",
      { class: "iua-slider-label" },
      element("span", { class: "iua-slider-name", text: options.name }),
      element("span", { class: "iua-slider-meaning", text: options.meaning }),
      this.#message,
    );
    this.#node = element(
      "div",
      { class: "iua-slider" },
      element("div", { class: "iua-slider-head" }, label, this.#field),
      element("div", { class: "iua-rail" }, this.#range, this.#ticks),
    );
    this.#listen(signal);
  }

  #listen(signal: AbortSignal): void {
    this.#range.addEventListener("input", () => this.#slide(), { signal });
    this.#range.addEventListener(
      "change",
      () => {
        this.#dragging = false;
        this.#options.onSettle();
      },
      { signal },
    );
    this.#range.addEventListener("blur", () => this.#endDrag(), { signal });
    this.#range.addEventListener("pointerup", () => this.#endDrag(), { signal });
    this.#range.addEventListener("pointercancel", () => this.#endDrag(), { signal });
    this.#field.addEventListener("blur", () => this.#commit(), { signal });
    this.#field.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Enter") this.#commit();
        else if (event.key === "Escape") this.#revert();
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
      { signal },
    );
  }

  #endDrag(): void {
    this.#dragging = false;
  }

  #slide(): void {
    const value = this.#stops[this.#range.valueAsNumber];
    if (value === undefined) return;
    this.#dragging = true;
    this.#accept(value, null);
  }

  #accept(value: number, message: string | null): void {
    this.#own = message;
    this.#value = value;
    setAttribute(this.#field, "aria-invalid", null);
    this.#show();
    this.#field.value = formatTolerance(value);
    this.#options.onInput(value);
  }

  #commit(): void {
    const text = this.#field.value;
    if (text.trim() === formatTolerance(this.#value)) {
      this.#own = null;
      setAttribute(this.#field, "aria-invalid", null);
      this.#show();
      return;
    }
    const parsed = parseTolerance(text);
    if (!parsed.ok) {
      this.#own = `${parsed.reason} Still ${formatTolerance(this.#value)}.`;
      this.#field.value = formatTolerance(this.#value);
      setAttribute(this.#field, "aria-invalid", "true");
      this.#show();
      return;
    }
    // Taken as it is, also between stops: the figures are ranges then, until a recount.
    this.#accept(parsed.value, null);
    this.#options.onSettle();
  }

  #revert(): void {
    this.#own = null;
    this.#field.value = formatTolerance(this.#value);
    setAttribute(this.#field, "aria-invalid", null);
    this.#show();
  }

  /** Take the value of the host; while a person drags, their hand wins. */
  update(stops: readonly number[], value: number, disabledReason: string | null): void {
    this.#setStops(stops);
    this.#disabledReason = disabledReason;
    const off = disabledReason !== null || stops.length === 0;
    if (this.#range.disabled !== off) {
      this.#range.disabled = off;
      this.#field.disabled = off;
    }
    this.#node.classList.toggle("iua-disabled", off);
    if (!this.#dragging && value !== this.#value) {
      this.#value = value;
      this.#own = null;
      setAttribute(this.#field, "aria-invalid", null);
      this.#field.value = formatTolerance(value);
    } else if (this.#field.value === "" && !this.#field.matches(":focus")) {
      this.#field.value = formatTolerance(value);
    }
    this.#show();
  }

  #setStops(stops: readonly number[]): void {
    const key = stops.join(" ");
    if (key === this.#ticksFor) return;
    this.#ticksFor = key;
    this.#stops = stops;
    this.#range.max = String(Math.max(0, stops.length - 1));
    this.#ticks.replaceChildren(
      ...decades(stops).map((position) => {
        const node = element("span", { class: "iua-decade" });
        setVariable(node, "--at", position.toFixed(4));
        return node;
      }),
      ...ticks(stops, TICK_GAP).map((tick) => {
        const text = tick.stop === 0 ? this.#options.zeroTick : formatTolerance(tick.stop);
        const end = tick.position === 0 ? " iua-first" : tick.position === 1 ? " iua-last" : "";
        const node = element("span", { class: `iua-tick${end}`, text });
        setVariable(node, "--at", tick.position.toFixed(4));
        return node;
      }),
    );
  }

  #show(): void {
    const index = nearestStop(this.#stops, this.#value);
    const text = String(index);
    if (this.#range.value !== text) this.#range.value = text;
    const last = Math.max(1, this.#stops.length - 1);
    setVariable(this.#range, "--at", (index / last).toFixed(4));
    const onStop = this.#stops[index] === this.#value;
    const words = this.#value === 0 ? this.#options.zeroWord : formatTolerance(this.#value);
    const between = onStop || this.#stops.length === 0 ? "" : " (between stops)";
    setAttribute(this.#range, "aria-valuetext", words + between);
    const message =
      this.#disabledReason ??
      this.#own ??
      (between === "" ? "" : `${words} lies between two stops: figures are ranges.`);
    setText(this.#message, message);
    this.#message.title = message;
    this.#message.classList.toggle("iua-own", this.#disabledReason === null && this.#own !== null);
    this.#message.classList.toggle(
      "iua-refused",
      this.#disabledReason === null && this.#field.getAttribute("aria-invalid") === "true",
    );
  }

  node(): HTMLElement {
    return this.#node;
  }
}
