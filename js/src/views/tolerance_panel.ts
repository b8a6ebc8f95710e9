/** The two tolerances, what rtol is relative to, and the rule they make, in words. */

import { formatTolerance } from "../core/format";
import type { Scale, Tolerances } from "../core/threshold";
import { element, setText } from "./dom";
import { ToleranceSlider } from "./tolerance_slider";

const SCALES: readonly Scale[] = ["layer mean", "zero"];
const EXACT = "Every threshold is a stop: the counts are exact.";
const BRACKETED = "Thresholds fall between stops: a range a–b holds the true value.";
const RTOL_IS_IDLE = "Against zero rtol has no effect: it multiplies |0|.";

export interface TolerancePanelOptions {
  readonly onInput: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
}

function ruleInWords({ atol, rtol, scale }: Tolerances): string {
  const relative =
    scale === "layer mean" && rtol > 0 ? `${formatTolerance(rtol)} × layer mean |x|` : "";
  if (relative === "") return atol === 0 ? "x = 0 exactly" : `|x| ≤ ${formatTolerance(atol)}`;
  return atol === 0 ? `|x| ≤ ${relative}` : `|x| ≤ ${formatTolerance(atol)} + ${relative}`;
}

export class TolerancePanel {
  readonly #atol: ToleranceSlider;
  readonly #rtol: ToleranceSlider;
  readonly #scale = element("select", {
    class: "iua-select",
    attributes: { "aria-label": "scale" },
  });
  readonly #rule = element("span", { class: "iua-rule-text" });
  readonly #certainty = element("span", { class: "iua-rule-note" });
  readonly #node: HTMLElement;

  constructor(options: TolerancePanelOptions, signal: AbortSignal) {
    const { onInput, onSettle } = options;
    this.#atol = new ToleranceSlider(
      {
        name: "atol",
        meaning: "absolute tolerance",
        zeroWord: "exact zero",
        onInput: (atol) => onInput({ atol }),
        onSettle,
      },
      signal,
    );
    this.#rtol = new ToleranceSlider(
      {
        name: "rtol",
        meaning: "relative to scale",
        zeroWord: "off",
        onInput: (rtol) => onInput({ rtol }),
        onSettle,
      },
      signal,
    );
    this.#scale.append(
      ...SCALES.map((name) => element("option", { text: name, attributes: { value: name } })),
    );
    this.#scale.addEventListener(
      "change",
      () => {
        onInput({ scale: this.#scale.value as Scale });
        onSettle();
      },
      { signal },
    );
    this.#node = element(
      "section",
      { class: "iua-tolerances", attributes: { "aria-label": "tolerances" } },
      element(
        "div",
        { class: "iua-rule" },
        element(
          "span",
          { class: "iua-rule-line" },
          element("b", { text: "inactive:" }),
          this.#rule,
        ),
        this.#certainty,
        element(
          "label",
          { class: "iua-scale" },
          element("span", { text: "scale", attributes: { "aria-hidden": "true" } }),
          this.#scale,
        ),
      ),
      this.#atol.node(),
      this.#rtol.node(),
    );
  }

  update(
    stops: readonly number[],
    rtolStops: readonly number[],
    tolerances: Tolerances,
    exact: boolean,
  ): void {
    this.#atol.update(stops, tolerances.atol, null);
    this.#rtol.update(
      rtolStops,
      tolerances.rtol,
      tolerances.scale === "zero" ? RTOL_IS_IDLE : null,
    );
    if (this.#scale.value !== tolerances.scale) this.#scale.value = tolerances.scale;
    setText(this.#rule, ruleInWords(tolerances));
    // There is always a line, so that nothing moves under the pointer during a drag.
    setText(this.#certainty, exact ? EXACT : BRACKETED);
  }

  node(): HTMLElement {
    return this.#node;
  }
}
