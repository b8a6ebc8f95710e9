/** The controls of the heatmap: what is colored and how, in which order, and zoom. */

import { COLOR_MAPS, type ColorMap } from "../canvas/color";
import { type Coloring, isEvidence, POOLINGS, type Pooling } from "../canvas/levels";
import type { Layout } from "../reading/layout";
import type { Evidence } from "../reading/snapshot";
import { named, select, showValue } from "../ui/controls";
import { element, setAttribute } from "../ui/dom";
import { PaneMenu } from "../ui/pane_menu";

const UNIT_ORDERS = ["index", "activity"] as const;
type UnitOrder = (typeof UNIT_ORDERS)[number];

/** How the picture is drawn: a matter of each view, not of the model. */
export interface PictureChoices {
  readonly pooling: Pooling;
  readonly map: ColorMap;
  readonly order: UnitOrder;
  /** Units or channels a row; null for as many as fit best. */
  readonly across: number | null;
}

export const FIRST_CHOICES: PictureChoices = {
  pooling: "mean",
  map: "blue",
  order: "index",
  across: null,
};

interface HeatmapToolsOptions {
  readonly onColoring: (coloring: Coloring) => void;
  readonly onChoices: (changes: Partial<PictureChoices>) => void;
  readonly onZoom: (way: "in" | "out" | "reset") => void;
}

interface ToolsState {
  readonly kind: Layout["kind"];
  readonly coloring: Coloring;
  readonly choices: PictureChoices;
  /** Why mean |x| cannot be colored, or null where it can. */
  readonly meanAbsent: string | null;
  /** Whether there are changes to color. */
  readonly compared: boolean;
  /** Whether there is some. */
  readonly evidence: (name: Evidence) => boolean;
  /** Why shares and counts cannot. */
  readonly countsAbsent: string | null;
  /** Units or channels a row as drawn now. */
  readonly across: number | null;
}

const COLORING_WORDS: Readonly<Record<Coloring, string>> = {
  share: "inactive share",
  count: "inactive count",
  "mean |x|": "mean |x|",
  dead: "dead or not",
  change: "change",
  "max pre-activation": "max pre-activation",
  range: "range",
  "share at bound": "share at bound",
};

function button(text: string, name: string, onClick: () => void, signal: AbortSignal): HTMLElement {
  const node = element("button", {
    class: "iua-button iua-tool",
    text,
    title: name,
    attributes: { type: "button", "aria-label": name },
  });
  node.addEventListener("click", onClick, { signal });
  return node;
}

export class HeatmapTools {
  readonly #coloring: HTMLSelectElement;
  readonly #coloringLabel: HTMLElement;
  readonly #pooling: HTMLSelectElement;
  readonly #map: HTMLSelectElement;
  readonly #order: HTMLSelectElement;
  readonly #orderLabel: HTMLElement;
  readonly #across = element("input", {
    class: "iua-field iua-across",
    attributes: { type: "number", min: "1", step: "1", "aria-label": "width" },
  });
  readonly #acrossLabel: HTMLElement;
  readonly #menu: PaneMenu;
  readonly #node: HTMLElement;

  constructor(options: HeatmapToolsOptions, signal: AbortSignal) {
    const { onChoices, onZoom } = options;
    this.#coloring = select("color", COLORING_WORDS, options.onColoring, signal);
    this.#pooling = select("pixel shows", POOLINGS, (pooling) => onChoices({ pooling }), signal);
    this.#map = select("palette", COLOR_MAPS, (map) => onChoices({ map }), signal);
    this.#order = select("order", UNIT_ORDERS, (order) => onChoices({ order }), signal);
    this.#coloringLabel = named("color", this.#coloring);
    this.#orderLabel = named("order", this.#order);
    this.#acrossLabel = named("width", this.#across);
    const pooling = named("pixel shows", this.#pooling);
    pooling.title = "where several units share a pixel";
    const map = named("palette", this.#map);
    map.title = "gray prints without colors";
    this.#across.addEventListener("change", () => onChoices({ across: this.#width() }), { signal });
    const zoom = element(
      "span",
      { class: "iua-tools" },
      button("−", "zoom out", () => onZoom("out"), signal),
      button("+", "zoom in", () => onZoom("in"), signal),
      button("Reset", "reset zoom", () => onZoom("reset"), signal),
    );
    this.#menu = new PaneMenu(
      { text: "⋯", name: "more of the picture", label: "picture" },
      [pooling, this.#acrossLabel, map],
      signal,
    );
    this.#node = element(
      "div",
      { class: "iua-heatmap-tools" },
      this.#coloringLabel,
      this.#orderLabel,
      zoom,
    );
  }

  #width(): number | null {
    const width = Math.round(this.#across.valueAsNumber);
    return Number.isFinite(width) && width >= 1 ? width : null;
  }

  update(state: ToolsState): void {
    const { choices, kind } = state;
    showValue(this.#coloring, state.coloring);
    showValue(this.#pooling, choices.pooling);
    showValue(this.#map, choices.map);
    showValue(this.#order, choices.order);
    const { meanAbsent, countsAbsent } = state;
    for (const option of this.#coloring.options) {
      const coloring = option.value as Coloring;
      if (coloring === "change") option.hidden = option.disabled = !state.compared;
      else if (isEvidence(coloring)) option.hidden = option.disabled = !state.evidence(coloring);
      else if (coloring === "mean |x|") option.disabled = meanAbsent !== null;
      else if (coloring !== "dead") option.disabled = countsAbsent !== null;
    }
    this.#coloringLabel.title = meanAbsent ?? countsAbsent ?? "what the colors stand for";
    this.#orderLabel.hidden = kind !== "grid";
    this.#acrossLabel.hidden = kind === "matrix";
    this.#acrossLabel.title = `${kind === "grid" ? "units" : "channels"} a row; empty to fit`;
    setAttribute(this.#across, "placeholder", state.across === null ? "" : String(state.across));
    const text = choices.across === null ? "" : String(choices.across);
    if (!this.#across.matches(":focus")) this.#across.value = text;
  }

  /** What is rarely changed. */
  menuNode(): HTMLElement {
    return this.#menu.node();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
