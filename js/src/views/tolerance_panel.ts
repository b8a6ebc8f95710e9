/** When a unit is inactive and when it is dead: in words, by name, on a curve, and by number. */

import { formatShare, formatTolerance } from "../core/format";
import { inForce, RELATIVE } from "../core/presets";
import type { TableSnapshot } from "../core/snapshot";
import { isUnitScale, type Scale, type Tolerances } from "../core/threshold";
import { element, setText } from "./dom";
import { DEAD_SHARE, NumberField, TAU } from "./number_field";
import { PresetRow } from "./preset_row";
import { ToleranceCurve } from "./tolerance_curve";
import { ToleranceSlider } from "./tolerance_slider";

const SCALES: Readonly<Record<Scale, string>> = {
  zero: "zero (as NumPy)",
  "layer mean": "layer mean |x|",
  "unit RMS": "unit RMS",
  "unit max": "unit max |x|",
};
const EXACT = "The counts are exact.";
const BRACKETED = "Thresholds fall between stops: a range a–b holds the true value.";
const RTOL_IS_IDLE = "Against zero rtol has no effect: it multiplies |0|.";
/** Up to here a tolerance is in practice a test for exact zeros… */
const NEXT_TO_ZERO = 1e-6;
/** …and where it finds less than this, the net has none. */
const HARDLY_ANY = 0.001;

export interface TolerancePanelOptions {
  readonly onInput: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
  readonly onRecount: () => void;
}

export interface ToleranceState {
  readonly table: TableSnapshot | null;
  readonly layer: string;
  readonly tolerances: Tolerances;
  readonly exact: boolean;
  /** Mean share of inactive units over all layers; NaN before the first probe. */
  readonly share: number;
  /** Whether the stream could be run once more, now. */
  readonly canRecount: boolean;
}

function ruleInWords({ atol, rtol, scale }: Tolerances): string {
  const relative =
    scale !== "zero" && rtol > 0 ? `${formatTolerance(rtol)} × ${SCALES[scale]}` : "";
  if (relative === "") return atol === 0 ? "x = 0 exactly" : `|x| ≤ ${formatTolerance(atol)}`;
  return atol === 0 ? `|x| ≤ ${relative}` : `|x| ≤ ${formatTolerance(atol)} + ${relative}`;
}

export class TolerancePanel {
  readonly #atol: ToleranceSlider;
  readonly #rtol: ToleranceSlider;
  readonly #curve: ToleranceCurve;
  readonly #presets: PresetRow;
  readonly #share: NumberField;
  readonly #tau: NumberField;
  readonly #scale = element("select", {
    class: "iua-select",
    attributes: { "aria-label": "scale" },
  });
  readonly #rule = element("span", { class: "iua-rule-text" });
  readonly #certainty = element("span", {
    class: "iua-rule-words",
    attributes: { role: "status" },
  });
  readonly #recount = element("button", {
    class: "iua-button iua-rule-action",
    text: "Recount exactly",
    title: "Runs the data once more with these very thresholds",
    attributes: { type: "button" },
  });
  readonly #relative = element("button", {
    class: "iua-button iua-rule-action",
    text: `Try ${RELATIVE.formula}`,
    attributes: { type: "button" },
  });
  readonly #node: HTMLElement;

  constructor(options: TolerancePanelOptions, signal: AbortSignal) {
    const { onInput, onSettle } = options;
    const choose = (changes: Partial<Tolerances>): void => {
      onInput(changes);
      onSettle();
    };
    this.#atol = new ToleranceSlider(
      {
        name: "atol",
        meaning: "absolute tolerance",
        zeroWord: "exact zero",
        zeroTick: "0",
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
        zeroTick: "off",
        onInput: (rtol) => onInput({ rtol }),
        onSettle,
      },
      signal,
    );
    this.#curve = new ToleranceCurve(options, signal);
    this.#presets = new PresetRow(choose, signal);
    this.#share = new NumberField(DEAD_SHARE, (dead_share) => choose({ dead_share }), signal);
    this.#tau = new NumberField(TAU, (tau) => choose({ tau }), signal);
    this.#scale.append(
      ...Object.entries(SCALES).map(([name, text]) =>
        element("option", { text, attributes: { value: name } }),
      ),
    );
    this.#scale.addEventListener("change", () => choose({ scale: this.#scale.value as Scale }), {
      signal,
    });
    this.#recount.addEventListener("click", () => options.onRecount(), { signal });
    this.#relative.addEventListener("click", () => choose(RELATIVE.settings), { signal });
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
        element(
          "span",
          { class: "iua-rule-controls" },
          element(
            "label",
            { class: "iua-scale" },
            element("span", { text: "scale", attributes: { "aria-hidden": "true" } }),
            this.#scale,
          ),
          this.#share.node(),
          this.#tau.node(),
        ),
      ),
      this.#presets.node(),
      element("div", { class: "iua-rule-note" }, this.#certainty, this.#relative, this.#recount),
      this.#curve.node(),
      this.#atol.node(),
      this.#rtol.node(),
    );
  }

  update(state: ToleranceState): void {
    const { table, tolerances } = state;
    this.#atol.update(table?.stops ?? [], tolerances.atol, null);
    this.#rtol.update(
      table?.rtolStops ?? [],
      tolerances.rtol,
      tolerances.scale === "zero" ? RTOL_IS_IDLE : null,
    );
    if (this.#scale.value !== tolerances.scale) this.#scale.value = tolerances.scale;
    this.#share.update(tolerances.dead_share);
    this.#tau.update(tolerances.tau);
    this.#presets.update(tolerances);
    this.#curve.update(table, state.layer, tolerances);
    setText(this.#rule, ruleInWords(tolerances));
    this.#note(state);
  }

  /** There is always a line of one height, so that nothing moves under the pointer during a drag. */
  #note({ tolerances, exact, share, canRecount }: ToleranceState): void {
    const { atol, rtol, scale } = tolerances;
    const findsNothing =
      atol <= NEXT_TO_ZERO && (rtol === 0 || scale === "zero") && share < HARDLY_ANY;
    this.#relative.hidden = !findsNothing || inForce(RELATIVE, tolerances);
    this.#recount.hidden = exact || !canRecount;
    if (findsNothing) {
      setText(
        this.#certainty,
        `Hardly any exact zero (${formatShare(share)}), as with GELU, SiLU or tanh:`,
      );
    } else if (exact) {
      setText(this.#certainty, EXACT);
    } else {
      setText(
        this.#certainty,
        isUnitScale(scale)
          ? "Every unit has its own threshold: ranges a–b hold the true value."
          : BRACKETED,
      );
    }
  }

  /** Draw again with the colours of the page as they are now. */
  recolour(): void {
    this.#curve.recolour();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
