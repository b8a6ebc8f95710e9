/** A field for a number within a line of words; its message floats, so that nothing moves. */

import { formatTolerance } from "../reading/format";
import { parseTolerance } from "../reading/scale";
import { element, setAttribute, setText } from "./dom";

interface NumberWords {
  readonly class: string;
  /** For those who do not see the words around. */
  readonly label: string;
  readonly title: string;
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
    "A unit is dead if it is inactive on at least this share of the probes on which it is finite",
  write: percent,
  read: (text) => {
    const digits = text.replace(/\s*%$/, "");
    // The decimal shift is exact where a division by 100 would not be.
    const share = NUMBER.test(digits) && !/e/i.test(digits) ? Number(`${digits}e-2`) : Number.NaN;
    return share > 0 && share <= 1 ? share : Number.NaN;
  },
  refusal: (text) => `“${text}” is not a percentage above 0 and at most 100.`,
};
export const DEAD_SHARES = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1];

/** From where on down a unit is dormant. */
export const TAU: NumberWords = {
  class: "iua-tau-field",
  label: "tau: dormant if mean |x| is at most this times the mean of the layer",
  title:
    "A unit (in maps, a channel) is dormant (Sokar et al. 2023) if its mean |x| is at most τ times the mean of its layer; rtol plays no part in it",
  write: String,
  read: (text) => (NUMBER.test(text) ? Number(text) : Number.NaN),
  refusal: (text) => `“${text}” is not a number of at least 0.`,
};
export const TAUS = [0, 0.001, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1];

export function toleranceWords(name: "atol" | "rtol", title: string): NumberWords {
  return {
    class: "iua-tolerance-field",
    label: `${name} value`,
    title: `${name}: ${title}`,
    write: formatTolerance,
    read: (text) => {
      const parsed = parseTolerance(text);
      return parsed.ok ? parsed.value : Number.NaN;
    },
    refusal: (text) => {
      const parsed = parseTolerance(text);
      return parsed.ok ? "" : parsed.reason;
    },
  };
}

export class NumberField {
  readonly #words: NumberWords;
  readonly #onInput: (value: number) => void;
  readonly #field: HTMLInputElement;
  readonly #message = element("span", {
    class: "iua-message iua-refused",
    attributes: { role: "status" },
  });
  readonly #node: HTMLElement;
  #value = Number.NaN;
  #steps: readonly number[] = [];
  #typed = false;

  constructor(words: NumberWords, onInput: (value: number) => void, signal: AbortSignal) {
    this.#words = words;
    this.#onInput = onInput;
    this.#field = element("input", {
      class: `iua-field ${words.class}`,
      title: words.title,
      attributes: {
        type: "text",
        inputmode: "decimal",
        autocomplete: "off",
        spellcheck: "false",
        "aria-label": words.label,
      },
    });
    this.#node = element("span", { class: "iua-number" }, this.#field, this.#message);
    const on = (type: "input" | "blur", listener: () => void): void =>
      this.#field.addEventListener(type, listener, { signal });
    on("input", () => {
      this.#typed = true;
    });
    on("blur", () => this.#commit());
    this.#field.addEventListener("keydown", (event) => this.#press(event), { signal });
  }

  #press(event: KeyboardEvent): void {
    const up = event.key === "ArrowUp";
    if (event.key === "Enter") this.#commit();
    else if (event.key === "Escape") this.#show();
    else if (up || event.key === "ArrowDown") {
      const now = this.#value;
      const next = up
        ? this.#steps.find((step) => step > now)
        : this.#steps.findLast((step) => step < now);
      if (next !== undefined) this.#accept(next);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #commit(): void {
    if (!this.#typed) return;
    const { read, write, refusal } = this.#words;
    const text = this.#field.value.trim();
    const value = text === write(this.#value) ? this.#value : read(text);
    if (value === this.#value) this.#show();
    else if (Number.isFinite(value)) this.#accept(value);
    else {
      this.#show();
      setAttribute(this.#field, "aria-invalid", "true");
      setText(this.#message, `${refusal(text)} Still ${write(this.#value)}.`);
    }
  }

  #accept(value: number): void {
    this.#value = value;
    this.#show();
    this.#onInput(value);
  }

  #show(): void {
    this.#typed = false;
    setAttribute(this.#field, "aria-invalid", null);
    setText(this.#message, "");
    this.#field.value = this.#words.write(this.#value);
  }

  /** `steps`: where the arrow keys go, ascending. What is being typed stays. */
  update(value: number, steps: readonly number[], disabled = false): void {
    this.#steps = steps;
    if (this.#field.disabled !== disabled) this.#field.disabled = disabled;
    this.show(value);
  }

  show(value: number): void {
    if (value === this.#value) return;
    this.#value = value;
    if (!this.#typed) this.#show();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
