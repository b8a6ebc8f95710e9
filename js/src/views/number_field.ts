/** A number to write, between the words that say what it is for. */

import { element, setAttribute } from "./dom";

export interface NumberWords {
  readonly class: string;
  /** For those who do not see the words around. */
  readonly label: string;
  readonly title: string;
  readonly before: string;
  readonly after: string;
  /** Where the arrow keys go, as it is written. */
  readonly steps: readonly number[];
  write(value: number): string;
  /** NaN where the text is no such number. */
  read(text: string): number;
  refusal(text: string): string;
}

const NUMBER = /^(\d+(\.\d*)?|\.\d+)(e-?\d+)?$/i;

function percent(share: number): string {
  return String(Number((share * 100).toPrecision(12)));
}

/** From which share of its finite probes on a unit is dead, in percent. */
export const DEAD_SHARE: NumberWords = {
  class: "iua-share-field",
  label: "dead if inactive on at least this percentage of probes",
  title:
    "A unit is dead that is inactive on at least this share of the probes on which it is finite",
  before: "dead from",
  after: "% of probes",
  steps: [50, 75, 90, 95, 99, 99.9, 100],
  write: percent,
  read: (text) => {
    const digits = text.replace(/\s*%$/, "");
    // The decimal shift is exact where a division by 100 would not be.
    const share = NUMBER.test(digits) && !/e/i.test(digits) ? Number(`${digits}e-2`) : Number.NaN;
    return share > 0 && share <= 1 ? share : Number.NaN;
  },
  refusal: (text) => `“${text}” is no percentage above 0 and up to 100`,
};

/** From where on down a unit is dormant. */
export const TAU: NumberWords = {
  class: "iua-tau-field",
  label: "tau: dormant if mean |x| is at most this times the mean of the layer",
  title:
    "Dormant (Sokar et al. 2023) is a unit, in maps a channel, with a mean |x| of at most τ times the mean of its layer; rtol has no part in it",
  before: "dormant up to τ",
  after: "",
  steps: [0, 0.001, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1],
  write: String,
  read: (text) => (NUMBER.test(text) ? Number(text) : Number.NaN),
  refusal: (text) => `“${text}” is no number, zero or more`,
};

export class NumberField {
  readonly #words: NumberWords;
  readonly #onInput: (value: number) => void;
  readonly #field: HTMLInputElement;
  readonly #node: HTMLElement;
  #value = Number.NaN;

  constructor(words: NumberWords, onInput: (value: number) => void, signal: AbortSignal) {
    this.#words = words;
    this.#onInput = onInput;
    this.#field = element("input", {
      class: `iua-field iua-number-field ${words.class}`,
      attributes: {
        type: "text",
        inputmode: "decimal",
        autocomplete: "off",
        spellcheck: "false",
        "aria-label": words.label,
      },
    });
    const [before, after] = [words.before, words.after].map((text) =>
      element("span", { text, attributes: { "aria-hidden": "true" } }),
    ) as [HTMLElement, HTMLElement];
    this.#node = element(
      "label",
      { class: "iua-share", title: words.title },
      before,
      this.#field,
      ...(words.after === "" ? [] : [after]),
    );
    this.#field.addEventListener("blur", () => this.#commit(), { signal });
    this.#field.addEventListener("keydown", (event) => this.#press(event), { signal });
  }

  #press(event: KeyboardEvent): void {
    const up = event.key === "ArrowUp";
    if (event.key === "Enter") this.#commit();
    else if (event.key === "Escape") this.#show();
    else if (up || event.key === "ArrowDown") {
      const { steps, read, write } = this.#words;
      const now = Number(write(this.#value));
      const next = up ? steps.find((step) => step > now) : steps.findLast((step) => step < now);
      if (next !== undefined) this.#accept(read(String(next)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #commit(): void {
    const { read, write, refusal } = this.#words;
    const text = this.#field.value.trim();
    if (text === write(this.#value)) {
      this.#show();
      return;
    }
    const value = read(text);
    if (Number.isFinite(value)) this.#accept(value);
    else {
      this.#show();
      setAttribute(this.#field, "aria-invalid", "true");
      this.#field.title = `${refusal(text)}: still ${write(this.#value)}.`;
    }
  }

  #accept(value: number): void {
    this.#value = value;
    this.#show();
    this.#onInput(value);
  }

  #show(): void {
    setAttribute(this.#field, "aria-invalid", null);
    this.#field.title = "";
    this.#field.value = this.#words.write(this.#value);
  }

  update(value: number): void {
    if (value === this.#value) return;
    this.#value = value;
    if (!this.#field.matches(":focus")) this.#show();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
