/** The rule that says when a unit is inactive, dead and dormant, with a field for each number. */

import { SCALES } from "../reading/rule_words";
import type { Tolerances } from "../reading/threshold";
import { select, showValue } from "../ui/controls";
import { element } from "../ui/dom";
import {
  DEAD_SHARE,
  DEAD_SHARES,
  NumberField,
  TAU,
  TAUS,
  toleranceWords,
} from "../ui/number_field";

const ATOL = toleranceWords("atol", "absolute tolerance");
const RTOL = toleranceWords("rtol", "relative tolerance, a multiple of the scale");

export class ToleranceForm {
  readonly #atol: NumberField;
  readonly #rtol: NumberField;
  readonly #share: NumberField;
  readonly #tau: NumberField;
  readonly #scale: HTMLSelectElement;
  readonly #nodes: readonly HTMLElement[];

  constructor(onChoose: (changes: Partial<Tolerances>) => void, signal: AbortSignal) {
    this.#atol = new NumberField(ATOL, (atol) => onChoose({ atol }), signal);
    this.#rtol = new NumberField(RTOL, (rtol) => onChoose({ rtol }), signal);
    this.#share = new NumberField(DEAD_SHARE, (dead_at) => onChoose({ dead_at }), signal);
    this.#tau = new NumberField(TAU, (tau) => onChoose({ tau }), signal);
    this.#scale = select("scale", SCALES, (scale) => onChoose({ scale }), signal);
    this.#scale.title = "what rtol is relative to";
    const words = (text: string): HTMLElement => element("span", { text });
    const rest = element("span", { class: "iua-share-rest", text: " of probes" });
    const percent = element("span", {}, document.createTextNode("%"), rest);
    const part = (name: string, title: string, ...rest: Node[]): HTMLElement =>
      element(
        "span",
        { class: "iua-rule-part", title },
        element("b", { text: `${name}:` }),
        ...rest,
      );
    this.#nodes = [
      part(
        "inactive",
        "",
        element("span", { class: "iua-rule-term" }, words("|x| ≤"), this.#atol.node()),
        element("span", { class: "iua-rule-term" }, words("+"), this.#rtol.node()),
        element("span", { class: "iua-rule-term" }, words("×"), this.#scale),
      ),
      part("dead", DEAD_SHARE.title, words("on ≥"), this.#share.node(), percent),
      part("dormant", TAU.title, words("τ"), this.#tau.node()),
    ];
  }

  update(tolerances: Tolerances, stops: readonly number[], rtolStops: readonly number[]): void {
    const { atol, rtol, scale, dead_at, tau } = tolerances;
    this.#atol.update(atol, stops);
    this.#rtol.update(rtol, rtolStops, scale === "zero");
    this.#share.update(dead_at, DEAD_SHARES);
    this.#tau.update(tau, TAUS);
    showValue(this.#scale, scale);
  }

  /** At once, while a slider is dragged. */
  follow(changes: Partial<Tolerances>): void {
    if (changes.atol !== undefined) this.#atol.show(changes.atol);
    if (changes.rtol !== undefined) this.#rtol.show(changes.rtol);
  }

  /** The parts of the rule, in order. */
  nodes(): readonly HTMLElement[] {
    return this.#nodes;
  }
}
