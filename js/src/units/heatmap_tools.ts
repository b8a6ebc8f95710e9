/** The controls of the heatmap: what is colored and how, in which order, and zoom. */

import { COLOR_MAPS, type ColorMap } from "../canvas/color";
import { COLORINGS, type Coloring, POOLINGS, type Pooling } from "../canvas/levels";
import type { Layout } from "../reading/layout";
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

function choice<Value extends string>(
  name: string,
  values: readonly Value[],
  words: (value: Value) => string,
  onChange: (value: Value) => void,
  signal: AbortSignal,
): { readonly node: HTMLElement; readonly select: HTMLSelectElement } {
  const select = element("select", { class: "iua-select", attributes: { "aria-label": name } });
  select.append(
    ...values.map((value) => element("option", { text: words(value), attributes: { value } })),
  );
  select.addEventListener("change", () => onChange(select.value as Value), { signal });
  const text = element("span", { text: name, attributes: { "aria-hidden": "true" } });
  return { node: element("label", { class: "iua-choice" }, text, select), select };
}

export class HeatmapTools {
  readonly #coloring: ReturnType<typeof choice>;
  readonly #pooling: ReturnType<typeof choice>;
  readonly #map: ReturnType<typeof choice>;
  readonly #order: ReturnType<typeof choice>;
  readonly #across = element("input", {
    class: "iua-field iua-across",
    attributes: { type: "number", min: "1", step: "1", "aria-label": "width" },
  });
  readonly #acrossLabel: HTMLElement;
  readonly #menu: PaneMenu;
  readonly #node: HTMLElement;

  constructor(options: HeatmapToolsOptions, signal: AbortSignal) {
    const { onChoices, onZoom } = options;
    const same = (value: string): string => value;
    this.#coloring = choice(
      "color",
      COLORINGS,
      (value) => COLORING_WORDS[value],
      options.onColoring,
      signal,
    );
    this.#pooling = choice(
      "pixel shows",
      POOLINGS,
      same,
      (pooling) => onChoices({ pooling }),
      signal,
    );
    this.#map = choice("palette", COLOR_MAPS, same, (map) => onChoices({ map }), signal);
    this.#order = choice("order", UNIT_ORDERS, same, (order) => onChoices({ order }), signal);
    this.#pooling.node.title = "where several units share a pixel";
    this.#map.node.title = "gray prints without colors";
    this.#acrossLabel = element(
      "label",
      { class: "iua-choice" },
      element("span", { text: "width", attributes: { "aria-hidden": "true" } }),
      this.#across,
    );
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
      [this.#pooling.node, this.#acrossLabel, this.#map.node],
      signal,
    );
    this.#node = element(
      "div",
      { class: "iua-heatmap-tools" },
      this.#coloring.node,
      this.#order.node,
      zoom,
    );
  }

  #width(): number | null {
    const width = Math.round(this.#across.valueAsNumber);
    return Number.isFinite(width) && width >= 1 ? width : null;
  }

  update(state: ToolsState): void {
    const { choices, kind } = state;
    const show = ({ select }: ReturnType<typeof choice>, value: string): void => {
      if (select.value !== value) select.value = value;
    };
    show(this.#coloring, state.coloring);
    show(this.#pooling, choices.pooling);
    show(this.#map, choices.map);
    show(this.#order, choices.order);
    const allow = (coloring: Coloring, absent: string | null): void => {
      const option = this.#coloring.select.options[COLORINGS.indexOf(coloring)];
      if (option !== undefined) option.disabled = absent !== null;
    };
    const { meanAbsent, countsAbsent } = state;
    allow("mean |x|", meanAbsent);
    allow("share", countsAbsent);
    allow("count", countsAbsent);
    const change = this.#coloring.select.options[COLORINGS.indexOf("change")];
    if (change !== undefined) change.hidden = change.disabled = !state.compared;
    this.#coloring.node.title = meanAbsent ?? countsAbsent ?? "what the colors stand for";
    this.#order.node.hidden = kind !== "grid";
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
