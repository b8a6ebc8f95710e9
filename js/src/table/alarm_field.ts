/** The share of dead units from which a layer is an alarm, and a button that filters for such layers. */

import { plural } from "../reading/format";
import { element, setAttribute, setText } from "../ui/dom";
import type { FilterField } from "./filter_field";
import { hasTest, withTest } from "./row_filter";

export const FIRST_ALARM = 0.5;

export class AlarmField {
  readonly #field: FilterField;
  readonly #onAlarm: (share: number) => void;
  readonly #over = element("button", {
    class: "iua-over",
    title: "Show these layers only",
    attributes: { type: "button", "aria-pressed": "false" },
  });
  readonly #input = element("input", {
    class: "iua-alarm-share",
    attributes: {
      type: "number",
      min: "1",
      max: "100",
      step: "5",
      value: String(100 * FIRST_ALARM),
      "aria-label": "percent of dead units from which on a layer is an alarm",
    },
  });
  readonly #node = element(
    "span",
    { class: "iua-alarm" },
    element("span", { text: "alarm from" }),
    this.#input,
    element("span", { text: "% dead" }),
    this.#over,
  );
  #share = FIRST_ALARM;

  constructor(field: FilterField, onAlarm: (share: number) => void, signal: AbortSignal) {
    this.#field = field;
    this.#onAlarm = onAlarm;
    this.#over.addEventListener(
      "click",
      () => {
        const { filter } = field;
        field.set(withTest(filter, this.#test, !hasTest(filter, this.#test)));
      },
      { signal },
    );
    this.#input.addEventListener("input", () => this.#typed(), { signal });
    this.#input.addEventListener(
      "change",
      () => {
        this.#input.value = String(this.#share * 100);
      },
      { signal },
    );
  }

  get share(): number {
    return this.#share;
  }

  /** What the filter says where these layers are shown only. */
  get #test(): string {
    return `dead-share>=${Number((this.#share * 100).toPrecision(6))}%`;
  }

  #typed(): void {
    const percent = this.#input.valueAsNumber;
    if (!(percent > 0 && percent <= 100)) return;
    const before = this.#test;
    const { filter } = this.#field;
    this.#share = percent / 100;
    if (hasTest(filter, before)) {
      this.#field.set(withTest(withTest(filter, before, false), this.#test, true));
    }
    this.#onAlarm(this.#share);
  }

  /** `over` is how many layers are. */
  update(over: number): void {
    setText(this.#over, over === 0 ? "no layer" : plural(over, "layer"));
    this.#over.classList.toggle("iua-none", over === 0);
    setAttribute(this.#over, "aria-pressed", String(hasTest(this.#field.filter, this.#test)));
  }

  node(): HTMLElement {
    return this.#node;
  }
}
