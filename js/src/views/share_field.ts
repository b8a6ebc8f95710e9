/** From which share of the probes on a unit is dead, in percent. */

import type { Tolerances } from "../core/threshold";
import { element, setAttribute } from "./dom";

const STEPS = [50, 75, 90, 95, 99, 99.9, 100];
const NUMBER = /^(\d+(\.\d*)?|\.\d+)$/;

function percent(share: number): string {
  return String(Number((share * 100).toPrecision(12)));
}

/** The decimal shift is exact where a division by 100 would not be. */
function shareOf(text: string): number {
  return NUMBER.test(text) ? Number(`${text}e-2`) : Number.NaN;
}

export class ShareField {
  readonly #onInput: (changes: Partial<Tolerances>) => void;
  readonly #field = element("input", {
    class: "iua-field iua-share-field",
    attributes: {
      type: "text",
      inputmode: "decimal",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": "dead if inactive on at least this percentage of probes",
    },
  });
  readonly #node = element(
    "label",
    {
      class: "iua-share",
      title: "A unit is dead that is inactive on at least this share of the probes",
    },
    element("span", { text: "dead from", attributes: { "aria-hidden": "true" } }),
    this.#field,
    element("span", { text: "% of probes", attributes: { "aria-hidden": "true" } }),
  );
  #share = Number.NaN;

  constructor(onInput: (changes: Partial<Tolerances>) => void, signal: AbortSignal) {
    this.#onInput = onInput;
    this.#field.addEventListener("blur", () => this.#commit(), { signal });
    this.#field.addEventListener("keydown", (event) => this.#press(event), { signal });
  }

  #press(event: KeyboardEvent): void {
    const up = event.key === "ArrowUp";
    if (event.key === "Enter") this.#commit();
    else if (event.key === "Escape") this.#show();
    else if (up || event.key === "ArrowDown") {
      const now = Number(percent(this.#share));
      const next = up ? STEPS.find((step) => step > now) : STEPS.findLast((step) => step < now);
      if (next !== undefined) this.#accept(shareOf(String(next)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #commit(): void {
    const text = this.#field.value.trim().replace(/\s*%$/, "");
    if (text === percent(this.#share)) {
      this.#show();
      return;
    }
    const share = shareOf(text);
    if (share > 0 && share <= 1) this.#accept(share);
    else {
      this.#show();
      setAttribute(this.#field, "aria-invalid", "true");
      this.#field.title = `“${text}” is no percentage above 0 and up to 100: still ${percent(this.#share)} %.`;
    }
  }

  #accept(share: number): void {
    this.#share = share;
    this.#show();
    this.#onInput({ dead_share: share });
  }

  #show(): void {
    setAttribute(this.#field, "aria-invalid", null);
    this.#field.title = "";
    this.#field.value = percent(this.#share);
  }

  update(share: number): void {
    if (share === this.#share) return;
    this.#share = share;
    if (!this.#field.matches(":focus")) this.#show();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
