/** The panel of tolerances: the rule as a form, and the curve that is the slider. */

import { formatTolerance } from "../reading/format";
import { ruleInWords } from "../reading/rule_words";
import { decades } from "../reading/scale";
import type { TableSnapshot } from "../reading/snapshot";
import type { Tolerances } from "../reading/threshold";
import { element, setText, setVariable } from "../ui/dom";
import { CurveLegend, shareText } from "./curve_legend";
import { PresetMenu } from "./preset_menu";
import { RELATIVE } from "./presets";
import { inForceAt } from "./share_curves";
import { ToleranceCurve } from "./tolerance_curve";
import { ToleranceForm } from "./tolerance_form";
import { ToleranceSlider } from "./tolerance_slider";

const RANGES = "a–b holds the true number";
const RANGES_AND_MORE = "a–b is a range:";
const NO_ZEROS = "No exact zeros: relative";
const RTOL_IS_IDLE = "no effect: against zero, rtol multiplies 0";
/** Up to here a tolerance is in practice a test for exact zeros… */
const NEXT_TO_ZERO = 1e-6;
/** …and where it finds less than this, the net has none. */
const HARDLY_ANY = 0.001;

interface TolerancePanelOptions {
  readonly onInput: (changes: Partial<Tolerances>) => void;
  readonly onSettle: () => void;
  readonly onRecount: () => void;
}

interface ToleranceState {
  readonly table: TableSnapshot | null;
  readonly layer: string;
  readonly tolerances: Tolerances;
  readonly exact: boolean;
  /** Mean share of inactive units over all layers; NaN before the first probe. */
  readonly share: number;
  /** Whether the stream could be run once more, now. */
  readonly canRecount: boolean;
  /** Why the page opened at a relative tolerance, where Python chose it; else empty. */
  readonly opened: string;
}

function findsNothing({ tolerances, share }: ToleranceState): boolean {
  const { atol, rtol, scale } = tolerances;
  return atol <= NEXT_TO_ZERO && (rtol === 0 || scale === "zero") && share < HARDLY_ANY;
}

export class TolerancePanel {
  readonly #form: ToleranceForm;
  readonly #presets: PresetMenu;
  readonly #atol: ToleranceSlider;
  readonly #rtol: ToleranceSlider;
  readonly #curve: ToleranceCurve;
  readonly #legend = new CurveLegend();
  readonly #decades = element("span", {
    class: "iua-decades",
    attributes: { "aria-hidden": "true" },
  });
  readonly #idle = element("span", { class: "iua-idle", text: RTOL_IS_IDLE });
  readonly #words = element("span", { class: "iua-rule-words", attributes: { role: "status" } });
  readonly #recount = element("button", {
    class: "iua-button",
    text: "Recount",
    title: "Runs the data once more with these very thresholds",
    attributes: { type: "button" },
  });
  readonly #relative = element("button", {
    class: "iua-button",
    text: "Try relative",
    title: RELATIVE.formula,
    attributes: { type: "button" },
  });
  readonly #node: HTMLElement;
  #decadesOf: readonly number[] = [];

  constructor(options: TolerancePanelOptions, signal: AbortSignal) {
    const { onInput, onSettle } = options;
    const choose = (changes: Partial<Tolerances>): void => {
      onInput(changes);
      onSettle();
    };
    this.#form = new ToleranceForm(choose, signal);
    this.#presets = new PresetMenu(choose, signal);
    this.#curve = new ToleranceCurve(signal);
    const slider = (name: "atol" | "rtol"): ToleranceSlider => {
      const onSlide = (value: number): void => {
        this.#form.follow({ [name]: value });
        onInput({ [name]: value });
      };
      return new ToleranceSlider({ name, onInput: onSlide, onSettle }, signal);
    };
    this.#atol = slider("atol");
    this.#rtol = slider("rtol");
    this.#recount.addEventListener("click", () => options.onRecount(), { signal });
    this.#relative.addEventListener("click", () => choose(RELATIVE.settings), { signal });
    const note = element(
      "div",
      { class: "iua-rule-note" },
      this.#words,
      this.#relative,
      this.#recount,
    );
    this.#node = element(
      "section",
      { class: "iua-tolerances", attributes: { "aria-label": "tolerances" } },
      element("div", { class: "iua-rule" }, ...this.#form.nodes(), note, this.#presets.node()),
      element(
        "div",
        { class: "iua-curve-panel" },
        this.#legend.node(),
        element(
          "div",
          { class: "iua-curve-home" },
          this.#curve.node(),
          this.#atol.node(),
          element(
            "div",
            { class: "iua-rtol" },
            element("span", {
              class: "iua-rtol-name",
              text: "rtol",
              attributes: { "aria-hidden": "true" },
            }),
            this.#decades,
            this.#rtol.node(),
            this.#idle,
          ),
        ),
      ),
    );
  }

  update(state: ToleranceState): void {
    const { table, layer, tolerances } = state;
    const { atol, rtol, scale, dead_at } = tolerances;
    const [stops, rtolStops] = [table?.stops ?? [], table?.rtolStops ?? []];
    const index = table?.layers.findIndex(({ name }) => name === layer) ?? -1;
    const meta = table?.layers[index];
    const here =
      table !== null && meta !== undefined && meta.probes > 0 && meta.units > 0
        ? inForceAt(table, index, tolerances)
        : null;
    const share = here === null ? "" : `: ${shareText(here.inactive)} of the units inactive`;
    this.#form.update(tolerances, stops, rtolStops);
    this.#presets.update(tolerances);
    this.#curve.update(table, index, dead_at, here);
    this.#legend.update(table?.layers ?? [], index, here);
    this.#atol.update(stops, atol, `atol ${formatTolerance(atol)}${share}`);
    const idle = scale === "zero";
    this.#rtol.update(
      rtolStops,
      rtol,
      `rtol ${formatTolerance(rtol)}${idle ? ", no effect" : share}`,
      idle,
    );
    this.#idle.hidden = !idle;
    this.#markDecades(rtolStops);
    this.#note(state);
  }

  #markDecades(stops: readonly number[]): void {
    if (stops.join() === this.#decadesOf.join()) return;
    this.#decadesOf = stops;
    this.#decades.replaceChildren(
      ...decades(stops).map((position) => {
        const node = element("span", { class: "iua-decade" });
        setVariable(node, "--at", position.toFixed(4));
        return node;
      }),
    );
  }

  /** Always of one size, so that nothing moves under the pointer during a drag. */
  #note(state: ToleranceState): void {
    const { exact, canRecount, opened } = state;
    const nothing = findsNothing(state);
    const chosen = opened.endsWith(` ${ruleInWords(state.tolerances)}.`);
    const ranges = exact ? "" : canRecount ? RANGES_AND_MORE : RANGES;
    const words = nothing ? "Hardly any zeros:" : chosen ? NO_ZEROS : ranges;
    this.#relative.hidden = !nothing;
    this.#recount.hidden = exact || !canRecount;
    setText(this.#words, words);
    this.#words.title = chosen ? `${opened} ${exact ? "" : RANGES}.` : words;
  }

  /** Draw again with the colors of the page as they are now. */
  recolor(): void {
    this.#curve.recolor();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
